"""A relay that stops itself (SIGSTOP) at a point, once: a program, given what to relay, whereto, and the point.

It prints each version that it has relayed, and `here` just before it stops; not before it has relayed a first one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from hotconfig import conninfo
from hotconfig._bucket import Bucket, Put
from hotconfig._feed import Stop
from hotconfig._nats import STATE
from hotconfig._nats_address import parse
from hotconfig._relay import Relay
from hotconfig._wire import Row, Wire

POINTS = "before PostgreSQL", "before the put", "before the state"


class Halt:
    """The point."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.armed = False

    def at(self, point: str) -> None:
        if self.armed and point == self.point:
            self.armed = False
            say("here")
            os.kill(os.getpid(), signal.SIGSTOP)


def say(line: object) -> None:
    print(line, flush=True)  # noqa: T201  # what the test reads


def patch(halt: Halt) -> None:
    """Come by the point where the relay reads documents, whose keys it has read, and where it puts."""
    query, put = Wire.query, Bucket.put

    def read(wire: Wire, statement: str, *params: str | None, timeout: float) -> list[Row]:
        documents = "jsonb_array_elements_text" in statement
        if documents:
            halt.at("before PostgreSQL")
        rows = query(wire, statement, *params, timeout=timeout)
        if documents:
            halt.at("before the put")
        return rows

    def write(bucket: Bucket, puts: Sequence[Put], *, timeout: float) -> list[int | None]:
        if [each.key for each in puts] == [STATE]:
            halt.at("before the state")
        return put(bucket, puts, timeout=timeout)

    Wire.query, Bucket.put = read, write  # type: ignore[method-assign, assignment]


def main(database: str, to: str, point: str) -> None:
    """Relay until killed."""
    halt = Halt(point)
    patch(halt)
    relay = Relay(conninfo.resolve(database), "public", parse(to), heartbeat=1000)
    first = True
    for error in relay.run(Stop()):
        if error is None and first:
            halt.armed, first = True, False
        say(relay.relayed if error is None else error)


if __name__ == "__main__":
    main(*sys.argv[1:])
