"""The options that verbs share, each described once."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, TypeAlias

import typer

from hotconfig import conninfo
from hotconfig._content import ACTIVE, PROFILE

Database: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A libpq string or URL, a SQLAlchemy URL, or embedded: (default: HOTCONFIG_DATABASE_URL, DATABASE_URL)",
        show_default=False,
    ),
]
Schema: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where hotconfig's tables are (default: HOTCONFIG_SCHEMA, public)"),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Profile: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which profile (default: HOTCONFIG_PROFILE, the default profile)"),
]
OnlyProfile: TypeAlias = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Only this profile (default: HOTCONFIG_PROFILE, all)"),
]
Document: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="A document of your own instead of a profile.")
]

By: TypeAlias = Annotated[
    str | None, typer.Option(metavar="WHO", help="Who, for the history (default: the database user)")
]
Note: TypeAlias = Annotated[str | None, typer.Option(metavar="WHY", help="Why, for the history.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Check and show everything, save nothing.")]
ExpectVersion: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Refuse, with exit code 4, if the profile is not at this version any more."),
]

Wait: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0, metavar="SECONDS", help="Wait until all running clients have it; exit code 3 if not within this time."
    ),
]


def asks(*, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether to ask before a write. Raises ValueError if it is necessary and nobody is there."""
    ask = not (yes or dry_run)
    if ask and (as_json or not sys.stdin.isatty()):  # who wants JSON is a program
        raise ValueError("nobody is there to be asked: add --yes, or look with --dry-run")
    return ask


def profile_name(profile: str | None) -> str | None:
    """The profile that is meant; None: the default one."""
    return conninfo.profile_name(profile)


def document_name(profile: str | None, document: str | None) -> str | None:
    """The document that is meant: a profile's, or one's own; None: nothing says which."""
    if document is not None:
        if profile is not None:
            raise ValueError("give --profile or --document, not both")
        if not document.strip():
            raise ValueError("--document is empty")
        return document
    name = profile_name(profile)
    return None if name is None else PROFILE + name


def document_or_default(profile: str | None, document: str | None) -> str:
    return document_name(profile, document) or ACTIVE


def time(text: str | None) -> datetime | None:
    """An ISO 8601 time; local, unless it says where."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: right is for example 2026-03-01T12:00:00Z") from None


def check_wait(wait: float | None, *, dry_run: bool) -> None:
    if dry_run and wait is not None:
        raise ValueError("a dry run makes nothing to wait for: leave out --wait or --dry-run")
