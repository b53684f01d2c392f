"""Client: for each published document: validate -> swap -> dispatch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

from hotconfig._changes import Changes
from hotconfig._content import Status
from hotconfig._dispatch import Dispatcher, Subscription
from hotconfig._holder import Holder
from hotconfig._settings import Settings
from hotconfig.conninfo import Conninfo
from hotconfig.errors import Closed, Timeout
from hotconfig.profile import ProfileConfig
from hotconfig.snapshot import Change, S


class Client(Holder[S]):
    """Follows one document: the default profile's, a named profile's, or one of your own.

    The constructor does no I/O. The client starts itself at its first use; `start()` does it early, in the caller's
    thread, with its errors. It works on in the child of a fork. As a context manager it is started and closed. Any
    thread may use it.

    Args:
        conninfo: a libpq string or URL, a SQLAlchemy URL, a callable that returns one (asked at every connect),
            `embedded:` or `embedded:/path`, or `nats://host1,host2/bucket`, which `hotconfig relay` fills. Default:
            HOTCONFIG_DATABASE_URL, then DATABASE_URL, then `postgresql://localhost:5432/ai_slide_generator`.
        model: what the document is validated with; a subclass of Snapshot. Default: ProfileConfig.
        profile: the profile to follow. Default: HOTCONFIG_PROFILE, then the default profile, also when another one
            becomes it.
        document: the document to follow instead of a profile; needs `model`.
        schema: where hotconfig's tables are. Default: HOTCONFIG_SCHEMA, then public.
        heartbeat: seconds between two looks at the database when nothing is announced; at most a day. Default: 10.
        cache: a file for the last good document, so that a process starts while PostgreSQL is down. Default: none.

    Raises:
        ValueError: a malformed URL, an empty name, a heartbeat that is not above 0.
        TypeError: a model that is no Snapshot, profile together with document, document without model.
    """

    @overload
    def __init__(
        self: Client[ProfileConfig],
        conninfo: Conninfo | None = None,
        *,
        profile: str | None = None,
        schema: str | None = None,
        heartbeat: float = 10.0,
        cache: str | Path | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        conninfo: Conninfo | None = None,
        *,
        model: type[S],
        profile: str | None = None,
        schema: str | None = None,
        heartbeat: float = 10.0,
        cache: str | Path | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        conninfo: Conninfo | None = None,
        *,
        model: type[S],
        document: str,
        schema: str | None = None,
        heartbeat: float = 10.0,
        cache: str | Path | None = None,
    ) -> None: ...
    def __init__(
        self,
        conninfo: Conninfo | None = None,
        *,
        model: Any = None,
        document: str | None = None,
        profile: str | None = None,
        schema: str | None = None,
        heartbeat: float = 10.0,
        cache: str | Path | None = None,
    ) -> None:
        if document is not None and profile is not None:
            raise TypeError("give profile or document, not both: a profile is the document 'profile/<name>'")
        if document is not None and model is None:
            raise TypeError(f"document {document!r} needs model=, the Snapshot class that it is validated with")
        model = ProfileConfig if model is None else model
        super().__init__(Settings(conninfo, model, document, profile, schema, heartbeat, cache))

    # ---- reading

    def current(self) -> S:
        """The newest snapshot. After the start it never touches the network, never blocks, never raises.

        Before it, it starts the client, and raises what `start()` raises.
        """
        snapshot = self._fast
        if snapshot is not None:
            return snapshot
        return self._look_closer()

    def pinned(self) -> AbstractContextManager[S]:
        """Within, `current()` of this client is one snapshot: one turn of an agent, one version.

        It follows asyncio tasks and `asyncio.to_thread`, and nests. `wait_for` and subscribers ignore it. Raises what
        `start()` raises, if the client is not started.
        """
        return self._pinning()

    def status(self) -> Status:
        """How fresh and how well. Does not start the client, touches no network."""
        with self._lock:
            status, run, closed = self._status, self._run, self._closed
        if status is None:
            status = Status("new", self._settings.document_name())
        if closed:
            return replace(status, state="closed")
        if run is None or not run.mine:
            return replace(status, state="new")
        staleness = None if status.checked_at is None else time.monotonic() - run.content.checked
        return replace(status, staleness=staleness)

    # ---- being told

    def subscribe(
        self,
        callback: Callable[[Change[S]], object],
        *,
        on: Callable[[S], object] | None = None,
        since: S | None = None,
    ) -> Subscription:
        """Call `callback` with a `Change` when the snapshot changes, until the subscription is cancelled.

        One that raises is logged; one that has run for a second is logged, and the others go on without it. Neither
        delays the snapshot. A slow one skips versions, and never sees a gap or a step back.

        Args:
            callback: called on a thread of the client's, in subscription order, with no lock held. Its `Change.old`
                is what it was given last. A coroutine function runs on the loop that runs here.
            on: only when what this returns for the new snapshot differs, such as `lambda c: c.prompts`; if it raises,
                that is logged, and counts as a difference. Default: at every change.
            since: the snapshot that you built from; if it is no longer current, you are called at once. Default: the
                current one.

        Raises:
            TypeError: a coroutine function, and no loop runs here.
            Closed: the client is closed. And what `start()` raises, if it is not started.
        """
        return self._started_dispatcher().subscribe(callback, on=on, since=since)

    def changes(self, *, on: Callable[[S], object] | None = None, since: S | None = None) -> Changes[S]:
        """The changes as an asynchronous iterator: `async for change in changes()`. Ends at `close()`.

        Arguments and errors are those of `subscribe`.
        """
        return self._started_dispatcher().changes(on=on, since=since)

    def _started_dispatcher(self) -> Dispatcher[S]:
        self._ensure_started()
        with self._lock:
            if self._closed and not self._overrides:
                raise Closed("the client is closed: call start() to use it again")
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self._latest)
            return self._dispatcher

    @overload
    def wait_for(self, version: int, *, timeout: float | None = 5.0) -> S: ...
    @overload
    def wait_for(self, *, until: Callable[[S], bool], timeout: float | None = 5.0) -> S: ...
    def wait_for(
        self,
        version: int | None = None,
        *,
        until: Callable[[S], bool] | None = None,
        timeout: float | None = 5.0,
    ) -> S:
        """Wait until this client has seen a version, whether or not it changed its document; or `until` is true.

        Args:
            version: any transaction's. `Admin` returns it as `Written.version`, the command line prints it,
                `config_history` has it in each row, and `status().version` of another client is the newest that it saw.
            until: called with the newest snapshot each time there is one, in this thread.
            timeout: seconds; None: for ever.

        Returns:
            The newest snapshot, pinned or not.

        Raises:
            Timeout: it did not come in time.
            InvalidConfig: the version was seen, but the document as it is then does not validate.
            Closed: the client is closed. And what `start()` raises, if it is not started.
            TypeError: both `version` and `until`, or neither.
        """
        if (version is None) == (until is None):
            raise TypeError("give version or until, one of them")
        self._ensure_started()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                snapshot, status, rejected = self._latest(), self._status, self._rejected
                closed = self._closed and not self._overrides
            if closed:
                raise Closed("the client was closed while something waited for it")
            if until is not None:
                if until(snapshot):
                    return snapshot
            elif version is not None and status is not None and (status.version or 0) >= version:
                if rejected is not None:
                    raise rejected.with_traceback(None)  # which would grow with every raise
                return snapshot
            with self._lock:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    seen = status.version if status else None
                    what = f"version {version}" if version is not None else "what was waited for"
                    raise Timeout(f"{what} did not come within {timeout:g} s; the newest version seen is {seen}")
                if self._status is status and self._latest() is snapshot and not (self._closed and not self._overrides):
                    self._moved.wait(remaining)

    # ---- start and end

    def start(self, *, timeout: float = 10.0) -> Self:
        """Connect and load, at most `timeout` seconds, in this thread. A started client is left as it is.

        A failed start leaves nothing behind, and the next use tries again.

        Raises:
            Unavailable: the server cannot be reached in time, or refuses the password, or the role may not read.
            NotMigrated: the database has no hotconfig tables in this schema.
            NoSuchProfile, NoDefaultProfile, NoSuchDocument: nothing is published under that name.
            InvalidConfig: the document does not fit the model.
            ValueError: a malformed URL in the environment.
            MissingExtra: `embedded:` or `nats://` without the package that it needs.
        """
        self._ensure_started(timeout, reopen=True)
        return self

    def close(self, *, timeout: float = 5.0) -> None:
        """Cancel subscriptions, end `changes()`, leave the database; at most about `timeout` seconds.

        The last snapshot stays: `current()` returns it, everything else raises Closed until `start()`. A thread that
        does not end in time is named in a warning. Safe before the start, twice, and from a callback.
        """
        self._stop(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
