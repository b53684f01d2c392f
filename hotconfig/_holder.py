"""The one reference to the newest snapshot: who starts, swaps and stops it, in this process and after a fork."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, cast

from hotconfig import _fork, _pin
from hotconfig._content import Content, Status
from hotconfig._dispatch import Dispatcher
from hotconfig._run import Run
from hotconfig._settings import Settings
from hotconfig.errors import Closed, HotConfigError, InvalidConfig
from hotconfig.snapshot import S

CHILD_START = 1.0  # seconds that the first use in a forked child may block
GIVE_WAY = 1e-5  # seconds, of which the timers of Linux make about 60 us
AT_EXIT = 2.0  # seconds that all clients together may take to close at the interpreter's exit


class Holder(Generic[S]):
    """Strictly private: the state of a Client."""

    def __init__(self, settings: Settings[S]) -> None:
        self._settings = settings
        self._fast: S | None = None  # what current() returns; None: look closer
        self._newest: S | None = None  # the same, were nothing pinned; the last one if there is none
        self._snapshot: S | None = None
        self._status: Status | None = None
        self._rejected: InvalidConfig | None = None  # why the newest version of the document is not the snapshot
        self._run: Run[S] | None = None
        self._dispatcher: Dispatcher[S] | None = None
        self._overrides: tuple[tuple[S], ...] = ()  # of hotconfig.testing, the innermost last
        self._pinned = 0  # contexts that are pinned
        self._closed = False
        self._forget: weakref.finalize[[], Holder[S]] | None = None  # ends the run of a client that is forgotten
        self._renew_locks()
        _fork.owners.add(self)

    def _renew_locks(self) -> None:
        # Guards all the fields above and below. Under it only references move. Reentrant, because the garbage collector
        # may run in the middle of it, and leave a pinned() that somebody forgot.
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)  # for wait_for: the snapshot, the status or `closed` changed
        self._starting: Future[None] | None = None
        self._starter = 0  # the thread that starts it

    # ---- what is served

    def _look_closer(self) -> S:
        """`current()` when something is unusual."""
        pinned = _pin.find(self)
        if pinned is not None:
            return cast(S, pinned)
        if not (self._overrides or self._started() or (self._closed and self._snapshot is not None)):
            self._ensure_started()
        return self._latest()

    def _served(self) -> S | None:
        overrides = self._overrides
        return overrides[-1][0] if overrides else self._snapshot

    def _latest(self) -> S:
        newest = self._newest
        assert newest is not None  # a started or overridden client has one
        return newest

    def _refresh(self) -> None:
        # With the lock held. A pin anywhere sends everybody the long way, and so does a fork until the child's start.
        served = self._served()
        if served is not None:  # else subscribers keep what an override has told them
            self._newest = served
        self._fast = served if (self._overrides or self._started() or self._closed) and not self._pinned else None

    @contextmanager
    def _pinning(self) -> Iterator[S]:
        snapshot = self._fast
        if snapshot is None:
            snapshot = self._look_closer()
        with self._lock:
            if self._closed and not self._overrides:
                raise Closed("the client is closed: call start() to use it again")
            self._pinned += 1
            self._refresh()
        try:
            with _pin.pinning(self, snapshot):
                yield snapshot
        finally:
            with self._lock:
                self._pinned -= 1
                self._refresh()

    @contextmanager
    def _overriding(self, snapshot: S) -> Iterator[S]:
        # A tuple of its own, to be found again: overrides of two threads need not end in the order in which they began,
        # and one snapshot may be given twice.
        override = (snapshot,)
        with self._lock:
            self._overrides = (*self._overrides, override)
        try:
            self._announce_override()
            yield snapshot
        finally:
            with self._lock:
                self._overrides = tuple(each for each in self._overrides if each is not override)
            self._announce_override()

    def _announce_override(self) -> None:
        with self._lock:
            self._refresh()
            self._moved.notify_all()
            dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.wake()
            dispatcher.flush(timeout=5.0)

    # ---- start and end

    def _started(self) -> bool:
        run = self._run  # once: another thread may close
        return run is not None and run.mine

    def _ensure_started(
        self, timeout: float = 10.0, *, reopen: bool = False, wanted: Settings[S] | None = None
    ) -> None:
        with self._lock:
            if wanted is not None and wanted != self._settings:
                if self._starting is not None or self._started():
                    raise HotConfigError("started already with other arguments: call close() first")
                self._settings = wanted
            if self._overrides or self._started():
                return
            if self._closed and not reopen:
                raise Closed("the client is closed: call start() to use it again")
            begun = self._starting
            starting = self._starting = begun or Future()
            if begun is None:
                self._starter = threading.get_ident()
            elif self._starter == threading.get_ident():
                raise HotConfigError(
                    "the client is being started by this very call: its conninfo and model must not use it"
                )
        if begun is not None:
            begun.result()
            return
        try:
            self._start(timeout, starting, explicit=reopen)
        except BaseException as error:
            self._end_start(starting)
            # Others who wait for this start were not interrupted themselves.
            interrupted = HotConfigError("the start was interrupted in another thread: try again")
            starting.set_exception(error if isinstance(error, Exception) else interrupted)
            raise
        self._end_start(starting)
        starting.set_result(None)

    def _end_start(self, starting: Future[None]) -> None:
        with self._lock:
            if self._starting is starting:
                self._starting = None

    def _start(self, timeout: float, starting: Future[None], *, explicit: bool) -> None:
        with self._lock:
            settings, inherited = self._settings, self._run
        if inherited is not None:  # from the parent of this process
            inherited.stop()
        if inherited is None or explicit:
            run = Run(settings, None, timeout=timeout)
        else:
            run = Run(settings, inherited.content, timeout=min(timeout, CHILD_START))
        with self._lock:
            wanted = self._starting is starting
            if wanted:
                self._run, self._closed = run, False
                self._take(run.content)
                if self._forget is not None:
                    self._forget.detach()
                self._forget = weakref.finalize(self, run.stop)
            dispatcher = self._dispatcher
        if not wanted:
            run.abandon()
            raise Closed("the client was closed while it started")
        # Registered last, called first: before an embedded server that this start may have brought leaves.
        atexit.unregister(_stop_all)
        atexit.register(_stop_all)
        try:
            run.follow(self._swap)
        except BaseException:
            with self._lock:
                self._run = None
                self._refresh()
            raise
        if dispatcher is not None:
            dispatcher.wake()

    def _swap(self, run: Run[S]) -> bool:
        """In the listener thread: swap, then dispatch. False if this run is no longer the client's."""
        with self._lock:
            if self._run is not run:
                return False
            moved = self._snapshot is not run.content.snapshot
            self._take(run.content)
            dispatcher = self._dispatcher
        if moved and dispatcher is not None:
            dispatcher.wake()
            # What this thread does next, the acknowledgement, would hold the interpreter up in which that one calls.
            time.sleep(GIVE_WAY)
        return True

    def _take(self, content: Content[S]) -> None:
        # With the lock held.
        self._snapshot, self._status, self._rejected = content.snapshot, content.status, content.rejection
        self._refresh()
        self._moved.notify_all()

    def _stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closed = True  # before the run goes: a reader without the lock sees one or the other
            run, self._run = self._run, None
            dispatcher, self._dispatcher = self._dispatcher, None
            self._starting = None  # whoever is starting it finds that out
            if self._forget is not None:
                self._forget.detach()
                self._forget = None
            self._refresh()
            self._moved.notify_all()
        if run is not None:
            run.stop()
        if dispatcher is not None:
            dispatcher.close(timeout)
        if run is not None:
            run.join(max(0.0, deadline - time.monotonic()))

    def _forked(self) -> None:
        """Called in the child of a fork: forget threads and locks; the next use starts again."""
        self._fast = None
        self._renew_locks()
        if self._dispatcher is not None:
            self._dispatcher.after_fork()


def _stop_all() -> None:
    # The threads are daemons; this lets them say goodbye to the server, which frees their sessions at once.
    started = [owner for owner in list(_fork.owners) if isinstance(owner, Holder) and owner._started()]
    deadline = time.monotonic() + AT_EXIT
    for owner in started:
        if (run := owner._run) is not None:
            run.stop()  # all at once, so that they say it side by side
    for owner in started:
        owner._stop(max(0.0, deadline - time.monotonic()))
