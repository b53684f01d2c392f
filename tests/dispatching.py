"""What the tests of the dispatcher share: a snapshot to replace, and callbacks that get stuck."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from hotconfig._dispatch import Dispatcher
from hotconfig.snapshot import Change, Snapshot

PATIENCE = 20.0  # seconds; reached only by a test that fails


class Numbers(Snapshot):
    a: int = 0
    b: int = 0


Step = Change[Numbers]


class Source:
    """A snapshot that can be replaced, and the dispatcher that tells of it."""

    def __init__(self) -> None:
        self.latest = Numbers()
        self.dispatcher = Dispatcher(lambda: self.latest)
        self.dispatcher.slow_after = PATIENCE  # nothing is late unless a test says so
        self.subscribe = self.dispatcher.subscribe

    def put(self, **values: int) -> Numbers:
        """Replace it, as the listener thread does; the version counts up."""
        version = self.latest.version + 1
        self.latest = self.latest.model_copy(update={"version": version, **values})
        self.dispatcher.wake()
        return self.latest

    def make_late(self) -> None:
        """Let the time pass that the callback which is running may take."""
        with self.dispatcher._lock:
            assert self.dispatcher._caller is not None
            self.dispatcher._caller.deadline = 0.0
            self.dispatcher._changed.notify_all()

    def flush(self) -> None:
        assert self.dispatcher.flush(PATIENCE)


class Stuck:
    """A callback that says when it is entered and returns when it may."""

    def __init__(self) -> None:
        self.entered: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self.may_return = threading.Event()

    def __call__(self, change: Step) -> None:
        self.entered.put(change)
        assert self.may_return.wait(PATIENCE)

    def change(self) -> Step:
        return self.entered.get(timeout=PATIENCE)


def numbers(changes: list[Step]) -> list[tuple[int, int]]:
    return [(change.old.a, change.new.a) for change in changes]


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def run(main: Callable[[], Any]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), PATIENCE)

    return asyncio.run(limited())
