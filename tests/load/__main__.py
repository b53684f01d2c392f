"""Load: `python -m tests.load [clients] [blocking] [subscribers] [memory]`; all of them if none is named.

Prints figures, a line each, or with --json one object. Exit code 1 if anything was violated. The server does not
wait for the disk, as those of the tests.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable
from unittest import mock

import servers

from . import blocking, clients, memory, subscribers
from .report import Report

SUBJECTS: dict[str, Callable[[servers.Server, argparse.Namespace], Report]] = {
    "clients": lambda server, given: clients.run(
        server, seconds=given.seconds, clients=given.clients, processes=given.processes
    ),
    "blocking": lambda server, given: blocking.run(server, seconds=given.seconds),
    "subscribers": lambda server, given: subscribers.run(server, subscribers=given.subscribers, changes=50),
    "memory": lambda server, given: memory.run(server, changes=given.changes, edits=given.changes // 10),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--seconds", type=float, default=60, help="of the edits for clients and for blocking")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=100_000, help="of memory; a tenth as many through PostgreSQL")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.subjects) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server and the readers are ended either way
    logging.getLogger("hotconfig").addHandler(logging.NullHandler())  # that one which blocks is late is no news
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "server": servers.version()}
    reports = []
    if not given.json:
        say(", ".join(f"{name} {what}" for name, what in machine.items()))
    with mock.patch.dict(servers.SETTINGS, max_connections=str(given.clients + 100)), servers.running() as server:
        for name, run in SUBJECTS.items():
            if name in (given.subjects or SUBJECTS):
                reports.append(run(server, given))
                if not given.json:
                    say("\n".join(reports[-1].lines()))
    if given.json:
        say(json.dumps(machine | {report.subject: report.as_json() for report in reports}, indent=2))
    return 1 if any(report.violations for report in reports) else 0


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
