"""The bounds of promise 5, for the heartbeat of the tests of faults. No other test asserts how long anything takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import pytest

HEARTBEAT = 1.0


class Bound(NamedTuple):
    seconds: float
    promise: str


MISSED = Bound(HEARTBEAT * 1.2 + 1.0, "a missed notification: heartbeat x 1.2 + 1 s")
SILENT = Bound(HEARTBEAT * 1.2 + 10.0, "a silent link: heartbeat x 1.2 + 10 s")
DOWN = Bound(35.0, "an unreachable server: 35 s after it answers again")

Within = Callable[[Bound], AbstractContextManager[float]]


@pytest.fixture
def within(record_property: Callable[[str, object], None]) -> Within:
    """A block that is over in time; gives the seconds it has. What it took is kept for docs/reliability.md."""

    @contextmanager
    def within(bound: Bound) -> Iterator[float]:
        began = time.monotonic()
        yield bound.seconds
        took = time.monotonic() - began
        record_property(bound.promise, took)
        assert took <= bound.seconds, f"{took:.3f} s; {bound.promise}"

    return within
