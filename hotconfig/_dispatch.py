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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic
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
class _Turn(Generic[S]):
    """One snapshot, of which everybody is told in order before the next turn begins.

    With the newest one at each call, a subscriber could learn of it before an earlier one on which it builds.
    """

    wake: int
    new: S
    rest: Iterator[Subscriber[S]]  # those who have yet to be told; goes from hand to hand with the turn
    step: tuple[S, Change[S] | None] | None = None  # the last comparison, since most were given the same


@dataclass(slots=True, eq=False)
class _Worker(Generic[S]):
    """A thread that calls or watches, and what it is at."""

    thread: threading.Thread
    calling: Subscriber[S] | None = None
    deadline: float = 0.0  # of this call
    late: bool = False  # it was missed, and another one went on


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
        # Guards all fields of this class, of Subscriber (but for `given`) and of _Turn (but for `step`). Only
        # references move under it. Reentrant, because the garbage collector may run in the middle of it, and with
        # it a __del__ that cancels; for the same reason `_subscribers` is replaced, never changed.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)  # the threads wait for it: look again
        self._told = threading.Condition(self._lock)  # flush() waits for it
        self._turn: _Turn[S] | None = None
        self._workers: set[_Worker[S]] = set()  # two, and those that are late
        self._caller: _Worker[S] | None = None  # the one that is calling and not late

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
        for function in (callback, on):
            if function is not None and not callable(function):
                raise TypeError(f"{function!r} is no function: pass one, such as `lambda c: c.ai_infra`")
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
            # It is looked at at once, but in a new turn: the present one may be of an older snapshot than `given`.
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
            if any(each.thread is threading.current_thread() for each in self._workers):
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
            workers = [each for each in self._workers if each.thread is not threading.current_thread()]
        for changes in iterators:
            changes._end()
        deadline = time.monotonic() + timeout
        for worker in workers:
            if worker.thread.is_alive():  # one that is yet to start will find that there is nothing to do
                worker.thread.join(max(0.0, deadline - time.monotonic()))
        for worker in workers:
            if (called := worker.calling) is not None:
                logger.warning("closed, but subscriber %s still runs after %g s", called.complaints.name, timeout)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise Closed("this client was closed: call start() to subscribe again")

    def _cancel(self, subscriber: Subscriber[S]) -> None:
        with self._lock:
            subscriber.cancelled = True
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)
            self._told.notify_all()
            if not self._subscribers:
                self._changed.notify_all()  # the threads end, and keep nobody alive

    def _start_threads(self) -> None:
        with self._lock:
            if self._closed or not self._subscribers:
                return
            workers = [self._worker() for _ in range(sum(not each.late for each in self._workers), 2)]
            self._workers.update(workers)
        for worker in workers:
            try:
                worker.thread.start()
            except RuntimeError:  # too many threads, or the interpreter is about to end
                with self._lock:
                    self._workers.discard(worker)
                logger.exception("cannot start a dispatcher thread; the next change tries again")

    def _worker(self) -> _Worker[S]:
        def run() -> None:
            while (turn := self._next(worker)) is not None:
                self._tell(worker, turn)
                del turn  # what was cancelled meanwhile is not kept by a thread that waits

        # In a context of its own: what is pinned in this thread is not pinned there.
        run_unpinned = functools.partial(contextvars.Context().run, run)
        worker: _Worker[S] = _Worker(threading.Thread(target=run_unpinned, name="hotconfig-dispatcher", daemon=True))
        return worker

    def _look_again(self) -> None:
        # With the lock held.
        self._wakes += 1
        self._changed.notify_all()

    def _next(self, worker: _Worker[S]) -> _Turn[S] | None:
        """The turn that this worker is to go on with; None: it is to end."""
        while True:
            with self._lock:
                while (caller := self._caller) is None or caller.deadline > time.monotonic():
                    if self._closed or not self._subscribers:
                        self._workers.discard(worker)
                    if worker not in self._workers:  # or it was late, or woke up in the child of a fork
                        return None
                    if caller is not None:
                        self._changed.wait(caller.deadline - time.monotonic())
                    elif self._turn is None and self._served == self._wakes:
                        self._changed.wait()
                    else:
                        if self._turn is None:
                            self._turn = _Turn(self._wakes, self._latest(), iter(self._subscribers))
                        self._caller = worker
                        worker.deadline = time.monotonic() + self.slow_after
                        return self._turn
                caller.late = True
                late, self._caller = caller.calling, None
            self._start_threads()  # somebody who watches this one
            if late is not None:
                late.complaints.slow(self.slow_after)
            del late

    def _tell(self, worker: _Worker[S], turn: _Turn[S]) -> None:
        """Call one after the other, until the turn is over or another worker goes on with it."""
        subscriber = None
        while True:
            with self._lock:
                if subscriber is not None:
                    subscriber.busy = False
                if self._caller is not worker:  # it was late, or woke up in the child of a fork
                    worker.calling = None
                    self._workers.discard(worker)
                    self._look_again()  # for the subscriber that kept it
                    return
                for subscriber in turn.rest:
                    if not (
                        subscriber.given is turn.new or subscriber.busy or subscriber.awaited or subscriber.cancelled
                    ):
                        break
                else:
                    worker.calling = self._caller = self._turn = None
                    self._served = turn.wake
                    self._told.notify_all()
                    return
                subscriber.busy = True
                worker.calling = subscriber
                worker.deadline = time.monotonic() + self.slow_after
            self._call(subscriber, turn)

    def _call(self, subscriber: Subscriber[S], turn: _Turn[S]) -> None:
        given, on, complaints = subscriber.given, subscriber.on, subscriber.complaints
        try:
            step = turn.step
            if step is None or step[0] is not given:
                step = turn.step = given, difference(given, turn.new)
            change = step[1]
            if change is None or not (on is None or matters(change, on, complaints)) or subscriber.cancelled:
                return
            if subscriber.loop is None:
                subscriber.callback(change)
                if complaints.counts:
                    complaints.well()
            else:
                with self._lock:
                    subscriber.awaited = True
                if not subscriber.schedule(subscriber.loop, change, functools.partial(self._returned, subscriber)):
                    self._cancel(subscriber)
        except BaseException as error:  # noqa: BLE001
            # The one guard around a subscriber. It catches sys.exit() too, which here would end not the process but,
            # without a word, this thread.
            complaints.raised(error)
        subscriber.given = turn.new

    def _returned(self, subscriber: Subscriber[S]) -> None:
        with self._lock:
            subscriber.awaited = False
            self._look_again()
