"""`Changes`: a subscriber that asks, in its own event loop, instead of being called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self

from hotconfig._subscriber import Complaints, difference, matters
from hotconfig.snapshot import Change, S


class Changes(Generic[S]):
    """The changes of a snapshot, as an asynchronous iterator that never falls behind.

    Each Change leads from the snapshot that was yielded last (at first: the one current when the
    iterator was made, or `since`) to the newest one; what came while the consumer was busy is one
    step. Cancelling a wait loses nothing. It belongs to the event loop of the first iteration, ends
    when its client closes, and after `aclose()` or leaving `async with`. `on` is called in that loop;
    if it raises, that is logged and counts as a difference.
    """

    def __init__(self, latest: Callable[[], S], given: S, on: Callable[[S], object] | None) -> None:
        self._latest = latest
        self._given = given
        self._on = on
        self._complaints = Complaints("changes()")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change[S]:
        self._loop = asyncio.get_running_loop()
        while not self._ended:
            # Cleared before the look: a wake-up that comes after it is not slept through.
            self._woken.clear()
            new = self._latest()
            change = difference(self._given, new)
            if change is not None and (self._on is None or matters(change, self._on, self._complaints)):
                self._complaints.well()
                self._given = new
                return change
            await self._woken.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration, also one that is waiting in another task. May be called again."""
        self._ended = True
        self._woken.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # ---- for the dispatcher, from any thread

    def _wake(self) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:  # the loop is closed, and whoever iterated is gone
                self._ended = True

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _leave_parent(self) -> None:
        # In the child of a fork: waking the loop would write to the parent's, whose socket it shares.
        self._ended = self._ended or self._loop is not None
        self._loop = None
