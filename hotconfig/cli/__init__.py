"""The command line: `hotconfig VERB`. A module for each group of verbs; all of them only use the library."""

from __future__ import annotations

from hotconfig.cli.app import app, main

# In the order of `hotconfig --help`.
from hotconfig.cli import setup, read, past, write, edit, profile, exchange, watch, fleet, relay, doctor, adopt  # isort: skip

__all__ = [
    "adopt",
    "app",
    "doctor",
    "edit",
    "exchange",
    "fleet",
    "main",
    "past",
    "profile",
    "read",
    "relay",
    "setup",
    "watch",
    "write",
]
