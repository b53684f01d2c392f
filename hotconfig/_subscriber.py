"""One subscriber: its callback, what it was given last, and what is new for it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, cast

from hotconfig.snapshot import Change, S, changed_paths

logger = logging.getLogger("hotconfig")


class Subscription:
    """A callback that is told of changes until it is cancelled. As a context manager: while inside."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """End it: no call starts after this has returned; one that is running is not waited for.

        May be called from any thread, from the callback, and again.
        """
        self._cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()


@dataclass(slots=True, eq=False)
class Subscriber(Generic[S]):
    """A callback and how far it is; guarded by the lock of its Dispatcher, except `given`."""

    callback: Callable[[Change[S]], object]
    on: Callable[[S], object] | None
    loop: asyncio.AbstractEventLoop | None  # where its coroutines run; None for a plain function
    complaints: Complaints
    given: S  # what it was told of last; touched only by the one who calls it
    busy: bool = False  # it is being looked at or called
    awaited: bool = False  # a coroutine of it is scheduled or running
    cancelled: bool = False
    task: asyncio.Task[None] | None = None  # kept here, since a loop holds its tasks weakly

    def schedule(self, loop: asyncio.AbstractEventLoop, change: Change[S], returned: Callable[[], None]) -> bool:
        """Run the coroutine on its loop and call `returned` there at its end; False if the loop is closed."""

        def start() -> None:
            self.task = loop.create_task(call())
            self.task.add_done_callback(end)

        async def call() -> None:
            if not self.cancelled:
                await cast(Awaitable[object], self.callback(change))

        def end(task: asyncio.Task[None]) -> None:
            self.task = None
            if not task.cancelled():
                if (error := task.exception()) is not None:
                    self.complaints.raised(error)
                else:
                    self.complaints.well()
            returned()

        try:
            loop.call_soon_threadsafe(start)
        except RuntimeError:
            return False
        return True


class Complaints:
    """Logs what one subscriber does wrong, each kind once; the rest is counted until it is well again.

    A subscriber that fails fails at every change; hundreds of equal tracebacks hide the first one.
    Names and types are logged, never the values of a snapshot.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()  # by kind, since it was well
        self._complained = False  # since the last well()

    def raised(self, error: BaseException) -> None:
        if self._is_first(f"raised {type(error).__name__}"):
            logger.error("subscriber %s raised; it counts as told", self.name, exc_info=error)

    def on_raised(self, error: Exception) -> None:
        if self._is_first(f"`on` raised {type(error).__name__}"):
            logger.error("`on` of %s raised, which counts as a difference", self.name, exc_info=error)

    def slow(self, seconds: float) -> None:
        if self._is_first("slow"):
            logger.warning(
                "subscriber %s has been running for %g s: the others go on without it, and it gets "
                "the latest when it returns",
                self.name,
                seconds,
            )

    def well(self) -> None:
        """It was told; it is well again if nothing was wrong this time."""
        if self._complained:
            self._complained = False
        elif self.counts:
            counts, self.counts = self.counts, Counter()
            kinds = ", ".join(f"{kind} ({count}x)" for kind, count in counts.items())
            logger.info("subscriber %s is well again after: %s", self.name, kinds)

    def _is_first(self, kind: str) -> bool:
        self._complained = True
        self.counts[kind] += 1
        return self.counts[kind] == 1


def difference(old: S, new: S) -> Change[S] | None:
    """The Change from `old` to `new`, or None if they say the same."""
    if old is not new and (paths := changed_paths(old, new)):
        return Change(old, new, paths)
    return None


def matters(change: Change[S], on: Callable[[S], object], complaints: Complaints) -> bool:
    """Whether what `on` returns differs; if it raises, it does."""
    try:
        return bool(on(change.old) != on(change.new))
    except Exception as error:  # noqa: BLE001  # to be told once too often is safe
        complaints.on_raised(error)
        return True


def is_coroutine_function(callback: Callable[..., object]) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    call = type(callback).__call__  # of an object with an asynchronous __call__
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(call)


def name_of(callback: Callable[..., object]) -> str:
    # Not repr(): that of a partial shows its arguments, which may be values.
    while isinstance(callback, functools.partial):
        callback = callback.func
    named = callback if hasattr(callback, "__qualname__") else type(callback)
    # Of a method of a built-in type, such as list.append, the module is None.
    return ".".join(filter(None, (named.__module__, named.__qualname__)))
