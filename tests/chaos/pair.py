"""A primary and its asynchronous standby, each behind a proxy; at a failover they change places."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from proxy import Proxy, proxied
from psycopg.rows import dict_row
from servers import PASSWORD, Server, free_port, running

DATABASE = "chaos"
HISTORY = 'SELECT id, version, document, note, snapshot, action, "timestamp" FROM config_history'


@dataclass
class Failover:
    at: float
    kept: int
    """The newest version that the promoted server had."""
    lost: list[dict[str, object]]
    """The history of what only the old one had."""


@dataclass
class Pair:
    primary: Server
    standby: Server
    proxies: dict[Server, Proxy]
    failovers: list[Failover] = field(default_factory=list)
    _turns: threading.Condition = field(default_factory=threading.Condition)  # guards the two below
    _writing: int = 0
    _closed: bool = False

    def through_proxies(self) -> str:
        """For readers: both servers, in no particular order."""
        ports = ",".join(str(proxy.port) for proxy in self.proxies.values())
        return f"host=127.0.0.1,127.0.0.1 port={ports} dbname={DATABASE} user=postgres password={PASSWORD}"

    def direct(self) -> str:
        """For writers: whichever is the primary."""
        ports = ",".join(str(proxy.upstream) for proxy in self.proxies.values())
        return (
            f"host=127.0.0.1,127.0.0.1 port={ports} dbname={DATABASE} user=postgres password={PASSWORD}"
            " target_session_attrs=primary connect_timeout=5"
        )

    def answers(self) -> bool:
        """Whether the primary does; after a crash it recovers first."""
        try:
            psycopg.connect(self.direct()).close()
        except psycopg.OperationalError:
            return False
        return True

    def history(self, after: int = 0) -> list[dict[str, object]]:
        with psycopg.connect(self.primary.url(DATABASE), row_factory=dict_row) as connection:
            return connection.execute(f"{HISTORY} WHERE version > %s ORDER BY id", [after]).fetchall()

    def version(self) -> int:
        return int(self.primary.psql(DATABASE, "SELECT version FROM config_state"))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A writer's transaction: none begins between a crash and the look at what was kept."""
        with self._turns:
            self._turns.wait_for(lambda: not self._closed)
            self._writing += 1
        try:
            yield
        finally:
            with self._turns:
                self._writing -= 1
                self._turns.notify_all()

    @contextmanager
    def _nobody_writes(self) -> Iterator[None]:
        """No turn begins within; whatever happens, they go on afterwards, since writers wait for it without limit."""
        with self._turns:
            self._closed = True
        try:
            yield
        finally:
            with self._turns:
                self._closed = False
                self._turns.notify_all()

    def failover(self, apart: float) -> None:
        """The primary is killed; the standby, which heard nothing for the last `apart` seconds, takes its place."""
        old, new = self.primary, self.standby
        new.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()")
        time.sleep(apart)
        with self._nobody_writes():
            self.proxies[old].refuse()
            old.signal(signal.SIGKILL)
            self.proxies[old].cut()
            with self._turns:
                self._turns.wait_for(lambda: self._writing == 0)
            new.promote()
            self.primary, self.standby = new, old
            kept = self.version()
            at = time.time()
        # On another port, where no writer takes the old one for a primary.
        port, old.port = old.port, free_port()
        old.start()
        with psycopg.connect(old.url(DATABASE), row_factory=dict_row) as connection:
            lost = connection.execute(f"{HISTORY} WHERE version > %s ORDER BY id", [kept]).fetchall()
        old.stop("immediate")
        old.port = port
        self.failovers.append(Failover(at, kept, lost))
        old.follow(new)
        old.start()
        self.proxies[old].accept()


@contextmanager
def pair() -> Iterator[Pair]:
    """The two, with a database that has the default profile."""
    with running() as primary:
        primary.create_database(DATABASE)
        # A commit that was confirmed survives kill -9, which turns off only what a power cut would cost.
        primary.psql("postgres", f"ALTER DATABASE {DATABASE} SET synchronous_commit = on")
        with (
            running(primary) as standby,
            proxied(primary.port) as first,
            proxied(standby.port) as second,
        ):
            yield Pair(primary, standby, {primary: first, standby: second})
