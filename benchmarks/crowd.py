"""Many processes that each follow: `python -m benchmarks.crowd hotconfig|bare|listen COUNT CONNINFO`.

It forks COUNT processes and prints "ready" when all follow; then, for each version that the last of them has, a line
with the version and when that was. `listen` is one process that waits on COUNT connections with epoll, and only hears.
"""

from __future__ import annotations

import os
import selectors
import signal
import struct
import sys
import time
from collections import Counter

import psycopg

import hotconfig
from benchmarks.follow import load
from hotconfig.profile import ProfileConfig

HAS = struct.Struct("qq")  # version and nanoseconds; short enough for a pipe to keep whole


def main(kind: str, count: int, conninfo: str) -> None:
    if kind == "listen":
        listen(count, conninfo)
        return
    coming, going = os.pipe()
    started = [fork(kind, conninfo, going, coming) for _ in range(count)]
    os.close(going)
    try:
        tell(coming, count)
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def fork(kind: str, conninfo: str, going: int, coming: int) -> int:
    if pid := os.fork():
        return pid
    os.close(coming)
    sys.stdin.close()

    def has(snapshot: ProfileConfig) -> None:
        os.write(going, HAS.pack(snapshot.version, time.monotonic_ns()))

    if kind == "hotconfig":
        client = hotconfig.Client(conninfo).start()
        client.subscribe(lambda change: has(change.new))
        os.write(going, HAS.pack(0, 0))
        signal.pause()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("LISTEN hotconfig")
        load(connection)
        os.write(going, HAS.pack(0, 0))
        while True:
            for _ in connection.notifies(stop_after=1):
                pass
            has(load(connection))


def tell(coming: int, count: int) -> None:
    """Print each version that all have, and when the last one had it, until the standard input ends."""
    having: Counter[int] = Counter()
    with selectors.DefaultSelector() as selector:
        selector.register(coming, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        last = 0
        while True:
            ready = {key.fd for key, _ in selector.select(1.0)}
            if coming in ready:
                for version, when in HAS.iter_unpack(os.read(coming, 4096 * HAS.size)):
                    having[version] += 1
                    last = max(last, when)
                    if having[version] == count:
                        print(f"{version} {last}" if version else "ready", flush=True)
            elif 0 in ready:
                return
            elif os.waitpid(-1, os.WNOHANG) != (0, 0):
                raise RuntimeError("one of the processes has ended: its errors are above")


def listen(count: int, conninfo: str) -> None:
    """The least that hears: one process, and no look at what is new."""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        for _ in range(count):
            connection = psycopg.connect(conninfo, autocommit=True)
            connection.execute("LISTEN hotconfig")
            selector.register(connection.fileno(), selectors.EVENT_READ, connection.pgconn)
        print("ready", flush=True)
        heard = version = 0
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    return
                key.data.consume_input()
                while (notify := key.data.notifies()) is not None:
                    heard += 1
                    version = max(version, int(notify.extra or 0))
            if heard == count:
                heard = 0
                print(version, time.monotonic_ns(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
