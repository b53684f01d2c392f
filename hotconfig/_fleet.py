"""The fleet: every running client of an installation, as it announces itself in pg_stat_activity.

The server removes the entry of a session that ends, so that nobody has to clean up. It is a hint, not a proof: a client
that has lost its connection is not in it, nor is one that reads a standby.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hotconfig import conninfo as _conninfo
from hotconfig._postgres import announced, as_application_name
from hotconfig._write import config_state
from hotconfig.errors import HotConfigError
from hotconfig.models import config_documents

REGISTRY = """
    SELECT application_name FROM pg_catalog.pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'hotconfig:')
"""
# What stands in the place of a document for those who follow the history, and are no members.
HISTORY = "(history)"
LONGEST = 63  # bytes of an entry: the server cuts it

PAUSES = 0.05, 1.2, 0.5  # seconds between two looks: the first, the growth, the longest


@dataclass(frozen=True, slots=True)
class Member:
    """A running client, as it announces itself to the server; a process has one, or several.

    Attributes:
        host: the first 20 characters of the host's name, or what HOTCONFIG_INSTANCE says.
        pid: its process id there; 0 if HOTCONFIG_INSTANCE names none. `web.17` names 17.
        document: what it follows: `active`, `profile/<name>` or one of your own. Its end is missing where the whole
            entry would be longer than 63 bytes, and what is not ASCII is a question mark.
        version: the newest one that it has seen, whatever that changed; 0 before its first look.
        rejected: the newest version of its document does not validate there, or is a deletion: it serves on with the
            one before, if it has one.
        behind: how many newer versions there are. Negative: it has seen versions that the database has since lost, and
            steps back at its next look.
    """

    host: str
    pid: int
    document: str
    version: int
    rejected: bool
    behind: int


def newest_version(session: Session) -> int:
    return session.scalar(sa.select(config_state.c.version)) or 0


def fleet(session: Session, schema: str) -> list[Member]:
    """All members, by host, process and document."""
    _, found = _look(session, schema)
    return _sorted(member for _, member in found)


def wait_applied(
    reading: Callable[[], AbstractContextManager[Session]], schema: str, version: int, timeout: float
) -> list[Member]:
    """Look until every member has applied a version, at most for `timeout` seconds; those that have not."""
    pause, growth, longest = PAUSES
    deadline = time.monotonic() + timeout
    while True:
        # Nothing is open during the pause; and a transaction would see the same sessions all the time.
        with reading() as session:
            missing = _missing(session, schema, version)
        left = deadline - time.monotonic()
        if not missing or left <= 0:
            return missing
        time.sleep(min(pause, left))
        pause = min(pause * growth, longest)


def members(entries: Iterable[str], schema: str, newest: int) -> list[tuple[str, Member]]:
    """The entries of the registry that are members of the installation in `schema`, and what each says."""
    start = re.escape(announced(_conninfo.channel(schema)))
    entry = re.compile(rf"{start}(\d+)(!?):([^:]*)(:?)(.*)", re.DOTALL)
    found = []
    for text in entries:
        match = entry.fullmatch(text)
        if match is None:
            continue
        version, rejected, who, complete, document = match.groups()
        if document == HISTORY or (document and len(text) == LONGEST and HISTORY.startswith(document)):
            continue
        host, _, pid = who.rpartition(".")
        if not (complete and host and pid.isdecimal()):  # a process id that was cut would be another one's
            host, pid = who, "0"
        seen = int(version)
        found.append((text, Member(host, int(pid), document, seen, bool(rejected), newest - seen)))
    return found


def process(member: Member) -> str:
    """Which one it is, as the registry calls it: host and process id."""
    return f"{member.host}.{member.pid}" if member.pid else member.host


def _look(session: Session, schema: str) -> tuple[int, list[tuple[str, Member]]]:
    entries = session.scalars(sa.text(REGISTRY)).all()
    # Afterwards: nobody can have seen a version that is newer than this one, unless the database lost it.
    newest = newest_version(session)
    return newest, members(entries, schema, newest)


def _missing(session: Session, schema: str, version: int) -> list[Member]:
    newest, found = _look(session, schema)
    if version > newest:
        raise HotConfigError(f"there is no version {version} yet: the newest one is {newest}")
    changed: Sequence[str] = ()
    if any(member.rejected for _, member in found):
        documents = sa.select(config_documents.c.name).where(config_documents.c.version >= version)
        changed = session.scalars(documents).all()
    return _sorted(
        member
        for entry, member in found
        if member.version < version or member.behind < 0 or (member.rejected and _follows(entry, member, changed))
    )


def _follows(entry: str, member: Member, documents: Iterable[str]) -> bool:
    """Whether a member follows one of these documents, as far as one can tell."""
    start = entry[: len(entry) - len(member.document)]
    return any(as_application_name(start + name) == entry for name in documents)


def _sorted(found: Iterable[Member]) -> list[Member]:
    return sorted(found, key=lambda member: (member.host, member.pid, member.document))
