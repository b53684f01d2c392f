"""WHO is told: subscribers in their order, none of which can delay another for long.

Nothing is queued. A subscriber remembers the snapshot that it was given last; `wake()` has each compared
with the newest one. Whoever was busy meanwhile gets one step over all that it missed, and nobody
ever sees a gap or a step back.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, cast
from weakref import WeakSet

from hotconfig._changes import Changes
from hotconfig._subscriber import (
    Complaints,
    Subscriber,
    Subscription,
    difference,
    is_coroutine_function,
    matters,
    name_of,
)
from hotconfig.errors import Closed
from hotconfig.snapshot import Change, S

__all__ = ["Changes", "Dispatcher", "Subscription"]

logger = logging.getLogger("hotconfig")


@dataclass(slots=True, eq=False)
class _Round(Generic[S]):
    """One snapshot, of which everybody is told in order before the next round begins.

    With the newest one at each call, a subscriber could learn of it before an earlier one on which it builds.
    """

    wake: int
    new: S
    rest: Iterator[Subscriber[S]]  # those who have yet to be told; goes from hand to hand with the round
    step: tuple[S, Change[S] | None] | None = None  # the last comparison, since most were given the same


@dataclass(slots=True, eq=False)
class _Call(Generic[S]):
    subscriber: Subscriber[S]
    round: _Round[S]
    thread: threading.Thread
    deadline: float  # from then on it is late


class Dispatcher(Generic[S]):
    """Tells subscribers of a new snapshot, one after the other, on a thread of its own.

    `latest` returns the newest snapshot. It is called often, also under the lock of this class: it must
    return at once, take no lock and not raise.

    Two threads do the same work: one calls while the other one watches it, and takes over, with a new
    watcher, when a call lasts longer than `slow_after` seconds. A stuck callback costs its own thread
    and nobody else. The threads start with the first subscription; between changes they wait without
    a timeout.
    """

    slow_after: float = 1.0

    def __init__(self, latest: Callable[[], S]) -> None:
        self._latest = latest
        self._subscribers: tuple[Subscriber[S], ...] = ()  # in subscription order
        self._iterators: WeakSet[Changes[S]] = WeakSet()  # one that was dropped needs no goodbye
        self._closed = False
        self._wakes = 0  # how often somebody said: look again
        self._served = 0  # up to which of them everybody has been told
        self._start_afresh()

    def _start_afresh(self) -> None:
        # Guards all fields of this class, of Subscriber (but for `given`) and of _Round (but for `step`). Only
        # references move under it. Reentrant, because the garbage collector may run in the middle of it, and with
        # it a __del__ that cancels; for the same reason `_subscribers` is replaced, never changed.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)  # the threads wait for it: look again
        self._told = threading.Condition(self._lock)  # flush() waits for it
        self._round: _Round[S] | None = None
        self._threads: set[threading.Thread] = set()  # also one that has not started yet
        self._call: _Call[S] | None = None  # the one that is being made
        self._late: set[_Call[S]] = set()  # those that are still being made, by threads that were given up

    def after_fork(self) -> None:
        """Make it work in the child of a fork, where its threads are gone and its lock may be held.

        Subscriptions are inherited, and one that was just being told is told again. Threads start at
        the next `wake()` or `subscribe()`. What is bound to an event loop stays with the parent, which
        runs that loop: here such subscriptions and iterators have ended.
        """
        self._start_afresh()
        self._subscribers = tuple(each for each in self._subscribers if each.loop is None)
        for subscriber in self._subscribers:
            subscriber.busy = False
        self._wakes += 1
        for changes in list(self._iterators):
            changes._leave_parent()

    def subscribe(
        self,
        callback: Callable[[Change[S]], object],
        *,
        on: Callable[[S], object] | None = None,
        since: S | None = None,
    ) -> Subscription:
        """Have `callback` called with a Change whenever the newest snapshot differs from the last one.

        The last one is what it was given last; at first `since`, by default the newest one now. With
        `on`, it is called only if what `on` returns for the two differs.

        Raises TypeError if `callback` is a coroutine function and no event loop runs in this thread,
        Closed after `close()`.
        """
        name = name_of(callback)
        loop = None
        if is_coroutine_function(callback):
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise TypeError(
                    f"{name} is a coroutine function and no event loop runs here: subscribe it inside "
                    "an `async def`, use `async for change in changes()`, or pass a plain function"
                ) from None
        given = self._latest() if since is None else since
        with self._lock:
            self._raise_if_closed()
            subscriber = Subscriber(callback, on, loop, Complaints(name), given)
            self._subscribers += (subscriber,)
            # It is looked at at once, but in a new round: the present one may be of an older snapshot than `given`.
            self._look_again()
        self._start_threads()
        return Subscription(functools.partial(self._cancel, subscriber))

    def changes(self, *, on: Callable[[S], object] | None = None, since: S | None = None) -> Changes[S]:
        """The same as an asynchronous iterator. Raises Closed after `close()`."""
        changes = Changes(self._latest, self._latest() if since is None else since, on)
        with self._lock:
            self._raise_if_closed()
            self._iterators.add(changes)
        return changes

    def wake(self) -> None:
        """Say that `latest()` returns another snapshot now. Does not block."""
        with self._lock:
            self._look_again()
            iterators = list(self._iterators)
        self._start_threads()
        for changes in iterators:
            changes._wake()

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everybody knows what there was to know at the call.

        True if so. A late callback is not waited for; a coroutine is told when it has been scheduled and while an
        earlier one runs, since it may need the very loop that waits here. On a dispatcher thread, whose return the
        others await, it returns False at once.
        """
        with self._lock:
            if threading.current_thread() in self._threads:
                return False
            wake = self._wakes
            return self._told.wait_for(lambda: self._served >= wake or not self._subscribers, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Cancel every subscription, end every iterator, wait `timeout` seconds for the threads.

        A callback that is still running then is named in a warning. May be called again, and from a
        callback, for whose own thread it does not wait.
        """
        with self._lock:
            self._closed = True
            for subscriber in self._subscribers:
                subscriber.cancelled = True
            self._subscribers = ()
            self._changed.notify_all()
            self._told.notify_all()
            iterators = list(self._iterators)
            threads = self._threads - {threading.current_thread()}
        for changes in iterators:
            changes._end()
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread.is_alive():  # one that is yet to start will find that there is nothing to do
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            calls = [each for each in (self._call, *self._late) if each and each.thread in threads]
        for call in calls:
            name = call.subscriber.complaints.name
            logger.warning("closed, but subscriber %s is still running after %g s", name, timeout)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise Closed("this client was closed: call start() to subscribe again")

    def _cancel(self, subscriber: Subscriber[S]) -> None:
        with self._lock:
            subscriber.cancelled = True
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)
            self._told.notify_all()

    def _start_threads(self) -> None:
        with self._lock:
            if self._closed or not self._subscribers:
                return
            # In a context of its own: what is pinned here is not pinned there.
            threads = [
                threading.Thread(
                    target=contextvars.Context().run,
                    args=(self._run,),
                    name="hotconfig-dispatcher",
                    daemon=True,
                )
                for _ in range(len(self._threads) - len(self._late), 2)
            ]
            self._threads.update(threads)
        for thread in threads:
            try:
                thread.start()
            except RuntimeError:  # too many threads, or the interpreter is about to end
                with self._lock:
                    self._threads.discard(thread)
                logger.exception("cannot start a dispatcher thread; the next change tries again")

    def _look_again(self) -> None:
        # With the lock held.
        self._wakes += 1
        self._changed.notify_all()

    def _run(self) -> None:
        call: _Call[S] | None = None
        while (call := self._next(call)) is not None:
            self._tell(call.subscriber, call.round)

    def _next(self, done: _Call[S] | None) -> _Call[S] | None:
        """The next call for this thread to make, after the one that it has done; None: it is to end."""
        thread = threading.current_thread()
        while True:
            with self._lock:
                if done is not None and not self._finish(done):
                    return None
                done = None
                while (late := self._call) is None or (left := late.deadline - time.monotonic()) > 0:
                    if self._closed:
                        self._threads.discard(thread)
                        return None
                    if late is not None:
                        self._changed.wait(left)
                    elif (turn := self._take()) is None:
                        self._changed.wait()
                    else:
                        self._call = _Call(*turn, thread, time.monotonic() + self.slow_after)
                        return self._call
                self._late.add(late)
                self._call = None
            self._start_threads()  # somebody who watches this thread
            late.subscriber.complaints.slow(self.slow_after)

    def _take(self) -> tuple[Subscriber[S], _Round[S]] | None:
        while True:
            if (round := self._round) is not None:
                for each in round.rest:
                    if not (each.given is round.new or each.busy or each.awaited or each.cancelled):
                        each.busy = True
                        return each, round
                self._round = None
                self._served = round.wake
                self._told.notify_all()
            if self._served == self._wakes or not self._subscribers:
                return None
            self._round = _Round(self._wakes, self._latest(), iter(self._subscribers))

    def _finish(self, call: _Call[S]) -> bool:
        """Whether this thread goes on; not if it was late, or woke up in the child of a fork."""
        call.subscriber.busy = False
        if call is self._call:
            self._call = None
            return True
        self._late.discard(call)
        self._threads.discard(call.thread)
        self._look_again()  # for the subscriber that was late
        return False

    def _tell(self, subscriber: Subscriber[S], round: _Round[S]) -> None:
        given = subscriber.given
        try:
            if round.step is None or round.step[0] is not given:
                round.step = given, difference(given, round.new)
            change = round.step[1]
            if change is None or not matters(change, subscriber.on, subscriber.complaints) or subscriber.cancelled:
                return
            if subscriber.loop is not None:
                self._schedule(subscriber.loop, subscriber, change)
            else:
                subscriber.callback(change)
                subscriber.complaints.well()
        except BaseException as error:  # noqa: BLE001
            # The one guard around a subscriber. It catches sys.exit() too, which here would end not the process but,
            # without a word, this thread.
            subscriber.complaints.raised(error)
        subscriber.given = round.new

    # ---- coroutines, on the loop that they were subscribed from

    def _schedule(self, loop: asyncio.AbstractEventLoop, subscriber: Subscriber[S], change: Change[S]) -> None:
        def start() -> None:
            subscriber.task = loop.create_task(await_it())
            subscriber.task.add_done_callback(done)

        async def await_it() -> None:
            if not subscriber.cancelled:
                await cast(Awaitable[object], subscriber.callback(change))

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                if (error := task.exception()) is not None:
                    subscriber.complaints.raised(error)
                else:
                    subscriber.complaints.well()
            with self._lock:
                subscriber.task = None
                subscriber.awaited = False
                self._look_again()

        with self._lock:
            subscriber.awaited = True
        try:
            loop.call_soon_threadsafe(start)
        except RuntimeError:  # the loop is closed, and nobody will ever run it again
            self._cancel(subscriber)
