"""One libpq connection on which every wait has a deadline and ends when it is told to stop.

psycopg's own `execute` has no deadline on the client's side, and its `notifies` no other way out than a time-out. Its
module `psycopg.pq` gives libpq's asynchronous functions (PostgreSQL manual, 34.4), which is all that is needed here.
"""

from __future__ import annotations

import math
import os
import selectors
import time
from collections.abc import Callable, Mapping

import psycopg
from psycopg import pq

from hotconfig import _fork
from hotconfig._feed import Failed, Lost, Selector, Stop, Stopped

Row = tuple[bytes | None, ...]


class Refused(Failed):
    """The server answered with an error."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Wire:
    """A connection: `connect`, `query`, `notified`, `close`; used by one thread at a time."""

    def __init__(self, pgconn: pq.abc.PGconn, stop: Stop, params: Mapping[str, str]) -> None:
        self.params = params
        self._pgconn = pgconn
        self._stop = stop
        self._pid = os.getpid()
        self._fd = pgconn.socket
        self._prepared: dict[str, bytes] = {}  # statement -> its name
        self._selector = Selector()  # kept, since to make one takes longer than to ask it
        self._selector.register(self._fd, selectors.EVENT_READ)
        self._selector.register(stop, selectors.EVENT_READ)
        _fork.opened(self._fd)

    @classmethod
    def connect(cls, params: Mapping[str, str], stop: Stop, *, timeout: float) -> Wire:
        """Connect to the one host in `params`, within `timeout` seconds.

        Raises:
            Lost: with libpq's message.
            Stopped: `stop` was set meanwhile.
        """
        deadline = time.monotonic() + timeout
        # Not make_conninfo(), which has libpq parse it once more.
        conninfo = " ".join(f"{name}={_quoted(value)}" for name, value in params.items())
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            while pgconn.status != pq.ConnStatus.BAD:
                polled = pgconn.connect_poll()
                if polled == pq.PollingStatus.OK:
                    pgconn.nonblocking = 1
                    return cls(pgconn, stop, params)
                if polled == pq.PollingStatus.FAILED:
                    break
                if not _wait(pgconn, stop, deadline, writing=polled == pq.PollingStatus.WRITING):
                    raise Lost(f"no answer within {timeout:g} s")
            raise Lost(pgconn.get_error_message())
        except BaseException:
            pgconn.finish()
            raise

    @property
    def backend_pid(self) -> int:
        """As the server, or a pooler in front of it, said at connect."""
        return self._pgconn.backend_pid

    def parameter(self, name: str) -> str:
        """What the server reports of a setting; '' if nothing."""
        return (self._pgconn.parameter_status(name.encode()) or b"").decode()

    def literal(self, text: str | None) -> str:
        """As it may stand in a statement."""
        return "NULL" if text is None else pq.Escaping(self._pgconn).escape_literal(text.encode()).decode()

    def query(self, statement: str, *params: str | None, timeout: float, until: float = math.inf) -> list[Row]:
        """Run one statement, or without parameters several, as one transaction. Parameters and results are text.

        An answer may be silent for `timeout` seconds: a large one over a thin line takes its time, but it comes. It
        has to be whole at `until`, on the monotonic clock.

        Raises:
            Refused: the server says no.
            Lost: the connection broke, or nothing came in time: it is of no more use.
            Stopped: `stop` was set meanwhile; likewise.
        """
        values = [None if p is None else p.encode() for p in params]
        if name := self._prepared.get(statement):
            return self._ask(lambda: self._pgconn.send_query_prepared(name, values), timeout, until)
        if not values:
            return self._ask(lambda: self._pgconn.send_query(statement.encode()), timeout, until)
        return self._ask(lambda: self._pgconn.send_query_params(statement.encode(), values), timeout, until)

    def prepare(self, statement: str, *, timeout: float) -> None:
        """Have the server parse a statement, and plan it once: `query` of it is faster from now on. Raises as `query`.

        Only for a session that is ours alone: behind a pooler that shares sessions it would be in another one.
        """
        name = f"hotconfig_{len(self._prepared)}".encode()
        self._ask(lambda: self._pgconn.send_prepare(name, statement.encode()), timeout, math.inf)
        self._prepared[statement] = name

    def _ask(self, send: Callable[[], None], timeout: float, until: float) -> list[Row]:
        self._check()
        deadline = min(time.monotonic() + timeout, until)
        pgconn = self._pgconn
        try:
            send()
            while pgconn.flush():
                if not _wait(pgconn, self._stop, deadline, writing=True):
                    raise Lost(f"no answer within {timeout:g} s")
            rows: list[Row] = []
            refused: Refused | None = None
            while True:
                while pgconn.is_busy():
                    if not self._readable(deadline):
                        raise Lost(f"no answer within {timeout:g} s")
                    pgconn.consume_input()
                    deadline = min(time.monotonic() + timeout, until)
                result = pgconn.get_result()
                if result is None:
                    break
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
                    refused = Refused(sqlstate, result.get_error_message())
                else:
                    rows += (
                        tuple(result.get_value(row, column) for column in range(result.nfields))
                        for row in range(result.ntuples)
                    )
        except psycopg.OperationalError as error:
            raise Lost(str(error)) from error
        if pgconn.status == pq.ConnStatus.BAD:
            raise Lost(str(refused) if refused else "the server closed the connection")
        if refused:
            raise refused
        return rows

    def notified(self, timeout: float) -> bool:
        """Whether a notification has come, waiting at most `timeout` seconds for one.

        Looks before it sleeps: one that arrived during a query was read off the socket with the answer.

        Raises:
            Lost, Stopped: as `query`.
        """
        self._check()
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._pgconn.consume_input()
            except psycopg.OperationalError as error:
                raise Lost(str(error)) from error
            came = False
            while self._pgconn.notifies() is not None:
                came = True
            if came:
                return True
            if not self._readable(deadline):
                return False

    def _readable(self, deadline: float) -> bool:
        """Whether there is something to read before the deadline."""
        ready = self._selector.select(max(0.0, deadline - time.monotonic()))
        self._check()
        return bool(ready)

    def _check(self) -> None:
        # Before the first byte: in a forked child, where a green thread may go on, they would be the parent's.
        if self._stop.is_set():
            raise Stopped

    def close(self) -> None:
        """Idempotent. In a forked child it leaves the parent's connection alone."""
        if self._pid == os.getpid():
            self._selector.close()
            _fork.closing(self._fd)
            self._pgconn.finish()


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _wait(pgconn: pq.abc.PGconn, stop: Stop, deadline: float, *, writing: bool = False) -> bool:
    """Whether the socket became ready before the deadline."""
    with Selector() as selector:
        selector.register(pgconn.socket, selectors.EVENT_WRITE if writing else selectors.EVENT_READ)
        selector.register(stop, selectors.EVENT_READ)
        ready = selector.select(max(0.0, deadline - time.monotonic()))
    if stop.is_set():
        raise Stopped
    return bool(ready)
