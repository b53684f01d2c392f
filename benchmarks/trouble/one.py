"""One cell, in a process of its own: `python -m benchmarks.trouble.one PRODUCT ROW` prints it as a line of JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks.trouble.cell import Cell, Heard, Trial, until
from benchmarks.trouble.products import product
from benchmarks.trouble.rows import ROWS
from benchmarks.trouble.server import Server
from benchmarks.trouble.subject import DoesNotApply


@contextmanager
def trial(name: str) -> Iterator[Trial]:
    """A started client that has been told of 1.0, and its server, which ends with the block; the client does not."""
    heard = Heard()
    heard.listen()
    with Server(name) as server:
        before = frozenset(threading.enumerate())
        subject = product(name).subject()
        subject.start(server.url)
        started = Trial(subject, server, heard, before)
        if until(server.followed, 10.0) is None:
            raise RuntimeError(f"{name} has started, and does not listen")
        server.publish(1.0)
        if started.seen(1.0, 10.0) is None:
            raise RuntimeError(f"{name} has started, and does not see a change")
        heard.clear()
        yield started


def main(name: str, row: str) -> None:
    output = os.dup(1)
    os.dup2(2, 1)  # what a client prints is not the answer
    with trial(name) as started:
        try:
            cell = ROWS[row].measure(started)
        except DoesNotApply as reason:
            cell = Cell("-", None, str(reason))
        os.write(output, json.dumps(asdict(cell)).encode() + b"\n")
    os._exit(0)  # without the farewells of clients that still run, some of which wait for their server


if __name__ == "__main__":
    main(*sys.argv[1:3])
