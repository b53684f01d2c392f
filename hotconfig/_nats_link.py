"""One connection to a NATS server, every wait on which has a deadline and ends when it is told to stop.

nats-py, the vendor's client, speaks the protocol, on a loop that runs only during a call. It does not reconnect here:
whoever uses a link connects anew and looks again, as with PostgreSQL, so that nothing depends on what a client loses
meanwhile (nats.go#1094, nats.py#644).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from selectors import SelectorKey
from typing import Any, Self, TypeVar

from hotconfig import _fork
from hotconfig._apart import Apart, addresses
from hotconfig._feed import Lost, Selector, Stop, Stopped
from hotconfig._nats_address import Address
from hotconfig.errors import MissingExtra

try:
    import nats
    from nats.aio.client import Client as Connection
    from nats.aio.msg import Msg
    from nats.js import api
    from nats.js.errors import APIError, NotFoundError
except ImportError as error:
    raise MissingExtra('nats:// needs an extra. Next: pip install "hotconfig[nats]".') from error

# With what comes from the package that may be missing: only here is that told.
__all__ = ["APIError", "Link", "Msg", "NotFoundError", "Silent", "Unanswered", "api"]

T = TypeVar("T")

NEEDED = 2, 11  # the server's version: several subjects in one Direct Get
CLOSE = 0.5  # seconds for a goodbye

_inherited: list[Link] = []  # of the parent of this process: kept, so that nobody tidies up in its name


class Unanswered(Lost):
    """Of NATS, not of PostgreSQL."""


class Silent(Unanswered):
    """Nothing came in time."""


class Watched(Selector):  # type: ignore[misc, valid-type]  # whichever it is
    """Knows when one of these sockets was last ready: an answer that goes on coming may take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: set[int] = set()
        self.moved = self._before = -math.inf

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready: list[tuple[SelectorKey, int]] = super().select(timeout)
        if any(key.fd in self.sockets for key, _ in ready):
            self._before, self.moved = self.moved, time.monotonic()
        return ready

    def disregard(self) -> None:
        """What came last belongs to no answer."""
        self.moved = self._before


class Loop(asyncio.SelectorEventLoop):
    """Knows which sockets a fork would share, and whether what they carry is encrypted."""

    def __init__(self) -> None:
        self.selector = Watched()
        super().__init__(self.selector)
        self.sockets = self.selector.sockets
        self.encrypted = False

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await super().sock_connect(sock, address)
        self.sockets.add(sock.fileno())
        _fork.opened(sock.fileno())

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        transport = await super().start_tls(*args, **options)
        self.encrypted = True
        return transport


class Link:
    """Used by one thread at a time."""

    def __init__(self, name: str, stop: Stop) -> None:
        self.name = name  # of the bucket
        self._stop = stop
        self._pid = os.getpid()
        self._loop = Loop()
        self._over: asyncio.Future[None] = self._loop.create_future()  # stopped, or the connection is gone
        self._loop.add_reader(stop.fileno(), self._end)
        self._error: Exception | None = None
        self._forbidden: Exception | None = None  # which ends no connection: what is forbidden just does not happen
        self._connection = Connection()

    # ---- connect, close

    @classmethod
    def connect(cls, address: Address, name: str, apart: Apart, stop: Stop, *, member: str, timeout: float) -> Self:
        """Connect to one of the servers, each of its addresses within its share of `timeout` seconds.

        Raises:
            Lost: what each answered.
            Stopped: `stop` was set meanwhile.
        """
        patched = sys.modules.get("gevent.monkey")
        if patched is not None and patched.is_module_patched("threading"):
            raise Unanswered("green threads share one thread, and asyncio has one running loop for each")
        deadline = time.monotonic() + timeout
        errors: list[str] = []
        # In any order, so that many clients spread over the servers.
        for i, (host, port) in enumerate(random.sample(address.servers, len(address.servers))):
            until = time.monotonic() + max(0.0, deadline - time.monotonic()) / (len(address.servers) - i)
            try:
                found = addresses(host, apart, stop=stop, timeout=until - time.monotonic())
            except Lost as error:
                errors.append(str(error))
                continue
            for j, at in enumerate(found):
                link = cls(name, stop)
                try:
                    left = max(0.0, until - time.monotonic()) / (len(found) - j)
                    link._run(link._connect(address, host, at, port, member), left, time.monotonic() + left)
                except Lost as error:
                    errors.append(f"{host}:{port}: {link._error or error}")
                    link.close()
                except BaseException:
                    link.close()
                    raise
                else:
                    return link
        raise Unanswered("; ".join(dict.fromkeys(errors)))

    async def _connect(self, address: Address, host: str, at: str, port: int, member: str) -> None:
        # What credentials sign is sent only where a token is asked for too, which checks that nobody else hears it.
        token = "" if address.credentials and address.tls else address.token
        connecting = self._connection.connect(
            f"nats://{f'[{at}]' if ':' in at else at}:{port}",
            name=member,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=60,  # ours is shorter
            error_cb=self._failed,
            closed_cb=self._gone,
            user=self._secret(address, address.user),
            password=self._secret(address, address.password),
            token=self._secret(address, token),
            user_credentials=address.credentials,
            tls=_tls(address),
            tls_hostname=host,
        )
        try:
            await connecting
        except (OSError, Unanswered, nats.errors.Error):
            raise
        except Exception as error:
            if address.credentials is None:
                raise
            raise Unanswered(f"the credentials file cannot be used: {type(error).__name__}") from error
        if address.tls:
            self._check_encrypted()
        version = self._connection.connected_server_version
        if (version.major, version.minor) < NEEDED:
            there = f"{version.major}.{version.minor}.{version.patch}"
            raise Unanswered(f"is NATS {there}; {'.'.join(map(str, NEEDED))} or later is needed")
        await self._opened()

    async def _opened(self) -> None:
        """What else belongs to a connection."""

    def _secret(self, address: Address, text: str | None) -> Callable[[], str] | None:
        if text is None:
            return None

        def told() -> str:
            # nats-py asks for it at the last moment; it would go on in clear with a server that does not offer TLS.
            if address.tls:
                self._check_encrypted()
            return text

        return told

    def _check_encrypted(self) -> None:
        if not self._loop.encrypted:
            raise Unanswered("the server offers no TLS, which the address asks for")

    def close(self) -> None:
        """Idempotent. In a forked child it leaves the parent's connection alone."""
        if self._pid != os.getpid():
            _inherited.append(self)
            return
        if self._loop.is_closed():
            return
        self._loop.remove_reader(self._stop.fileno())
        for fd in self._loop.sockets:
            _fork.closing(fd)
        with contextlib.suppress(Exception):  # it is closed, whatever nats-py says to it
            self._alone(self._close())
        self._loop.close()

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._connection.close(), CLOSE)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- the loop

    def _run(self, coroutine: Coroutine[Any, Any, T], timeout: float, until: float = math.inf) -> T:
        if self._stop.is_set():
            coroutine.close()
            raise Stopped
        return self._alone(self._bounded(coroutine, timeout, until))

    async def _bounded(self, coroutine: Coroutine[Any, Any, T], seconds: float, until: float) -> T:
        task = asyncio.ensure_future(coroutine)
        waiting: set[asyncio.Future[Any]] = {task, self._over}
        began = time.monotonic()
        while (left := min(until, max(began, self._loop.selector.moved) + seconds) - time.monotonic()) > 0:
            done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE)
        if self._stop.is_set():
            raise Stopped
        if task.cancelled() or not task.done():
            if self._over.done():
                raise Unanswered(str(self._error or "the server closed the connection"))
            raise Silent(f"no answer within {seconds:g} s{f': {self._forbidden}' if self._forbidden else ''}")
        try:
            return task.result()
        except (OSError, ValueError, nats.errors.Error) as error:
            raise Unanswered(str(error) or type(error).__name__) from error

    def _alone(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(coroutine)
        # start() within a coroutine holds its loop up, as it does with PostgreSQL; but two loops cannot share a thread.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._loop.run_until_complete, coroutine).result()

    def _end(self) -> None:
        self._loop.remove_reader(self._stop.fileno())
        self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def _gone(self) -> None:
        self._finish()

    async def _failed(self, error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            self._forbidden = error
        else:
            self._error = error


def _tls(address: Address) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    context = ssl.create_default_context(cafile=address.tls_ca)
    if address.tls_cert:
        context.load_cert_chain(address.tls_cert, address.tls_key)
    return context
