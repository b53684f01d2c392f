"""One client in a process of its own, and a log of all that it showed: `python -m tests.chaos.reader DOCUMENT LOG`.

HOTCONFIG_DATABASE_URL names the database. Each line of the log is one event:

    seen      current() returned another snapshot
    told      the subscriber was called: the snapshots before and after
    status    the newest version seen, or the state, is another one
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from hotconfig import Change, Client, ProfileConfig, Snapshot

HEARTBEAT = 0.5
FLAGS = "flags"
ACTIVE = "active"


class Flags(Snapshot):
    flags: Mapping[str, int]


def identity(snapshot: Snapshot) -> tuple[str, int, str]:
    """Its document, version and content, to be found again in the history."""
    document = f"profile/{snapshot.profile.name}" if isinstance(snapshot, ProfileConfig) else FLAGS
    content = json.dumps(snapshot.model_dump(mode="json", exclude={"version"}), sort_keys=True)
    return document, snapshot.version, hashlib.sha256(content.encode()).hexdigest()[:16]


def model(document: str) -> type[Snapshot]:
    return Flags if document == FLAGS else ProfileConfig


def client(document: str) -> Client[Snapshot]:
    if document in (ACTIVE, FLAGS):
        return Client(model=model(document), document=document, heartbeat=HEARTBEAT)
    return Client(model=model(document), profile=document.removeprefix("profile/"), heartbeat=HEARTBEAT)


def main(document: str, path: Path) -> None:
    ended = False

    def end(*_: object) -> None:
        nonlocal ended  # an Event's set() may not interrupt its own wait()
        ended = True

    signal.signal(signal.SIGTERM, end)
    lock = threading.Lock()  # guards the file: two threads write lines

    with path.open("w") as log, client(document) as reader:

        def note(what: str, **rest: object) -> None:
            with lock:
                print(json.dumps({"at": time.time(), "what": what, **rest}), file=log, flush=True)

        def told(change: Change[Snapshot]) -> None:
            note("told", old=identity(change.old), new=identity(change.new), paths=len(change.paths))

        last: Snapshot | None = None
        before: tuple[object, ...] = ()
        first = reader.current()
        note("seen", snapshot=identity(first))
        last = first
        reader.subscribe(told, since=first)
        while not ended:
            if (now := reader.current()) is not last:
                note("seen", snapshot=identity(now))
                last = now
            status = reader.status()
            if (shown := (status.version, status.state, status.rejected_version, status.rewinds)) != before:
                note("status", version=shown[0], state=shown[1], rejected=shown[2], rewinds=shown[3])
                before = shown
            time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
