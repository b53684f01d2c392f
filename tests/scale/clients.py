"""Clients in a process of their own: `python -m tests.scale.clients DOCUMENT ...`, one for each name.

HOTCONFIG_DATABASE_URL says where they read. A line is printed when all have started, then one for each snapshot that a
client has: its number, document, version, digest, and time.monotonic_ns(). At the end of the input it says how often
links came back and databases stepped back, and ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack

from chaos.reader import ACTIVE, FLAGS, identity, model

from hotconfig import Client, Snapshot

HEARTBEAT = 5.0


def main(documents: list[str]) -> None:
    lock = threading.Lock()

    def say(what: object) -> None:
        with lock:
            sys.stdout.write(f"{json.dumps(what)}\n")
            sys.stdout.flush()

    with ExitStack() as stack:
        clients = [stack.enter_context(client(document)) for document in documents]
        say("ready")
        for n, each in enumerate(clients):

            def has(snapshot: Snapshot, n: int = n) -> None:
                say([n, *identity(snapshot), time.monotonic_ns()])

            first = each.current()
            has(first)
            each.subscribe(lambda change, has=has: has(change.new), since=first)  # type: ignore[misc]
        sys.stdin.read()
        statuses = [each.status() for each in clients]
        say({"reconnects": sum(s.reconnects for s in statuses), "rewinds": sum(s.rewinds for s in statuses)})


def client(document: str) -> Client[Snapshot]:
    if document in (ACTIVE, FLAGS):
        return Client(model=model(document), document=document, heartbeat=HEARTBEAT)
    return Client(model=model(document), profile=document.removeprefix("profile/"), heartbeat=HEARTBEAT)


if __name__ == "__main__":
    main(sys.argv[1:])
