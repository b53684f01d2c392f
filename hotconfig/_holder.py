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
from hotconfig.errors import Closed, HotConfigError
from hotconfig.snapshot import S

CHILD_START = 1.0  # seconds that the first use in a forked child may block
AT_EXIT = 2.0  # seconds that a client may take to close at the interpreter's exit


class Holder(Generic[S]):
    """Strictly private: the state of a Client."""

    def __init__(self, settings: Settings[S]) -> None:
        self._settings = settings
        self._fast: S | None = None  # what current() returns; None: look closer
        self._newest: S | None = None  # the same, were nothing pinned; the last one if there is none
        self._snapshot: S | None = None
        self._status: Status | None = None
        self._run: Run[S] | None = None
        self._dispatcher: Dispatcher[S] | None = None
        self._overrides: tuple[S, ...] = ()  # of hotconfig.testing, the innermost last
        self._pinned = 0  # contexts that are pinned
        self._closed = False
        self._renew_locks()
        _fork.owners.add(self)

    def _renew_locks(self) -> None:
        # Guards all the fields above and below. Under it only references move.
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)  # for wait_for: the snapshot, the status or `closed` changed
        self._starting: Future[None] | None = None

    # ---- what is served

    def _look_closer(self) -> S:
        """`current()` when something is unusual."""
        pinned = _pin.find(self)
        if pinned is not None:
            return cast(S, pinned)
        if not (self._closed and self._snapshot is not None):
            self._ensure_started()
        return self._latest()

    def _latest(self) -> S:
        newest = self._newest
        assert newest is not None  # a started or overridden client has one
        return newest

    def _refresh(self) -> None:
        # With the lock held. A pin anywhere sends everybody the long way, and so does a fork until the child's start.
        newest = self._overrides[-1] if self._overrides else self._snapshot
        self._newest = newest or self._newest
        served = self._overrides or self._started() or self._closed
        self._fast = newest if served and not self._pinned else None

    @contextmanager
    def _pinning(self) -> Iterator[S]:
        snapshot = self._fast or self._look_closer()
        with self._lock:
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
        self._override((*self._overrides, snapshot))
        try:
            yield snapshot
        finally:
            # By identity: overrides of two threads need not end in the order in which they began.
            self._override(tuple(each for each in self._overrides if each is not snapshot))

    def _override(self, overrides: tuple[S, ...]) -> None:
        with self._lock:
            self._overrides = overrides
            self._refresh()
            self._moved.notify_all()
            dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.wake()
            dispatcher.flush(timeout=5.0)

    # ---- start and end

    def _started(self) -> bool:
        return self._run is not None and self._run.mine

    def _ensure_started(self, timeout: float = 10.0, *, reopen: bool = False) -> None:
        with self._lock:
            if self._overrides or self._started():
                return
            if self._closed and not reopen:
                raise Closed("the client is closed: call start() to use it again")
            begun = self._starting
            starting = self._starting = begun or Future()
        if begun is not None:
            begun.result()
            return
        try:
            self._start(timeout)
        except BaseException as error:
            with self._lock:
                self._starting = None
            starting.set_exception(error)
            raise
        with self._lock:
            self._starting = None
        starting.set_result(None)

    def _start(self, timeout: float) -> None:
        inherited = self._run
        if inherited is None:
            run = Run(self._settings, None, timeout=timeout)
        else:  # from the parent of this process
            inherited.stop()
            run = Run(self._settings, self._snapshot, timeout=min(timeout, CHILD_START))
        with self._lock:
            self._run, self._closed = run, False
            self._take(run.content)
            dispatcher = self._dispatcher
        weakref.finalize(self, run.stop)
        run.follow(self._swap)
        if dispatcher is not None:
            dispatcher.wake()

    def _configure(self, wanted: Settings[S]) -> None:
        with self._lock:
            if self._settings == wanted:
                return
            if self._starting is not None or self._started():
                raise HotConfigError("started already with other arguments: call close() first")
            self._settings = wanted

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
        return True

    def _take(self, content: Content[S]) -> None:
        # With the lock held.
        self._snapshot, self._status = content.snapshot, content.status
        self._refresh()
        self._moved.notify_all()

    def _stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._lock:
            run, self._run = self._run, None
            dispatcher, self._dispatcher = self._dispatcher, None
            self._closed = True
            self._refresh()
            self._moved.notify_all()
        if run is not None:
            run.stop()
        if dispatcher is not None:
            dispatcher.close(timeout)
        if run is not None:
            run.join(max(0.0, deadline - time.monotonic()))

    def forked(self) -> None:
        """Called in the child of a fork: forget threads and locks; the next use starts again."""
        self._fast = None
        self._renew_locks()
        if self._dispatcher is not None:
            self._dispatcher.after_fork()


@atexit.register
def _stop_all() -> None:
    # The threads are daemons; this lets them say goodbye to the server, which frees their sessions at once.
    for owner in list(_fork.owners):
        if isinstance(owner, Holder) and owner._started():
            owner._stop(AT_EXIT)
