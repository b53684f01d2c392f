"""Clients in one process: `python -m benchmarks.edge COUNT URL`.

It prints its private memory in bytes before it makes them, and when all have started. Then it answers each line of its
input with JSON: seconds of processor since it began, memory, how many are live, how often one came back, the lowest
version that one serves; and if the line is "all", the versions that each client had, and when, on the clock that all
processes of a machine share.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import nats  # noqa: F401  # what a client imports at its start is not what one more costs

import hotconfig
from hotconfig import _bucket, _nats  # noqa: F401
from hotconfig.profile import ProfileConfig

STACK = 256 * 1024  # bytes of a thread's; what is not touched costs nothing


def main(count: int, url: str) -> None:
    threading.stack_size(STACK)
    print(private(), flush=True)
    had: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    with ExitStack() as stack:
        clients = [stack.enter_context(hotconfig.Client(url)) for _ in range(count)]
        for client, mine in zip(clients, had, strict=True):

            def has(snapshot: ProfileConfig, mine: list[tuple[int, int]] = mine) -> None:
                mine.append((snapshot.version, time.monotonic_ns()))

            client.subscribe(lambda change, has=has: has(change.new))  # type: ignore[misc]
        print(private(), flush=True)
        for asked in sys.stdin:
            statuses = [client.status() for client in clients]
            answer = {
                "cpu": time.process_time(),
                "memory": private(),
                "live": sum(status.state == "live" for status in statuses),
                "reconnects": sum(status.reconnects for status in statuses),
                "version": min(client.current().version for client in clients),
                "had": had if asked == "all\n" else None,
            }
            print(json.dumps(answer), flush=True)


def private() -> int:
    """Bytes that no other process shares."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
