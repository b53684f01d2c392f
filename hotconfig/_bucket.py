"""One connection to a JetStream key-value bucket, every wait on which has a deadline and ends when it is told to stop.

nats-py, the vendor's client, speaks the protocol. It does not reconnect here: whoever uses a bucket connects anew and
looks again, as with PostgreSQL, so that nothing depends on what a client loses meanwhile (nats.go#1094, nats.py#644).

    $KV.<bucket>.<key>        a message of the bucket's stream; its sequence is the key's revision
    hotconfig.<bucket>.<key>  the same without its payload, republished by the server once it is stored: a hint

What is read comes from whichever replica answers (NATS ADR-31, Direct Get: one request, one replica, one point in
time), so that a large fleet does not ask one leader. A replica may be behind: the caller compares revisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from selectors import SelectorKey
from typing import Any, TypeVar

from hotconfig import _fork
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

T = TypeVar("T")

NEEDED = 2, 11  # the server's version: several subjects in one Direct Get
TAKEN = 10071, 10164  # JetStream's error codes: the revision is not the expected one
ALONE = 10005, 10074  # there are not so many servers: no suitable peers, no cluster
REVISION = "Nats-Sequence"  # the header of whatever a stream has stored
LONGEST = 20  # digits of a revision
CLOSE = 0.5  # seconds for a goodbye

_inherited: list[Bucket] = []  # of the parent of this process: kept, so that nobody tidies up in its name


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a key; `deleted`: nothing, but a revision."""

    revision: int
    headers: Mapping[str, str]
    payload: bytes

    @property
    def deleted(self) -> bool:
        return "KV-Operation" in self.headers


@dataclass(frozen=True, slots=True)
class Put:
    """What is to stand under a key that is still at `revision`: 0: there is none yet; None: whatever it is."""

    key: str
    headers: Mapping[str, str]
    payload: bytes
    revision: int | None


class Unanswered(Lost):
    """Of NATS, not of PostgreSQL."""


class Silent(Unanswered):
    """Nothing came in time."""


ABSENT = Entry(0, {"KV-Operation": "DEL"}, b"")


class Watched(Selector):  # type: ignore[misc, valid-type]  # whichever it is
    """Knows when one of these sockets was last ready: an answer that goes on coming may take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: set[int] = set()
        self.moved = -math.inf

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready: list[tuple[SelectorKey, int]] = super().select(timeout)
        if any(key.fd in self.sockets for key, _ in ready):
            self.moved = time.monotonic()
        return ready


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


class Bucket:
    """Used by one thread at a time; its loop runs only during a call."""

    def __init__(self, name: str, stop: Stop) -> None:
        self.name = name
        self.hint: Mapping[str, str] = {}  # the headers of the last one
        self._stream = f"KV_{name}"
        self._stop = stop
        self._pid = os.getpid()
        self._loop = Loop()
        self._over: asyncio.Future[None] = self._loop.create_future()  # stopped, or the connection is gone
        self._loop.add_reader(stop.fileno(), self._end)
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._asked = 0
        self._answers: asyncio.Queue[Msg] = asyncio.Queue()
        self._connection = Connection()
        self._inbox = self._connection.new_inbox()

    # ---- connect, close

    @classmethod
    def connect(cls, address: Address, name: str, stop: Stop, *, member: str, timeout: float) -> Bucket:
        """Connect to one of the servers, each within its share of `timeout` seconds.

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
            bucket = cls(name, stop)
            try:
                left = max(0.0, deadline - time.monotonic()) / (len(address.servers) - i)
                bucket._run(bucket._connect(address, host, port, member), left, time.monotonic() + left)
            except Lost as error:
                errors.append(f"{host}:{port}: {bucket._error or error}")
                bucket.close()
            except BaseException:
                bucket.close()
                raise
            else:
                return bucket
        raise Unanswered("; ".join(errors))

    async def _connect(self, address: Address, host: str, port: int, member: str) -> None:
        # What credentials sign is sent only where a token is asked for too, which checks that nobody else hears it.
        token = "" if address.credentials and address.tls else address.token
        await self._connection.connect(
            f"nats://{f'[{host}]' if ':' in host else host}:{port}",
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
            tls_hostname=host if address.tls else None,
        )
        if address.tls:
            self._check_encrypted()
        version = self._connection.connected_server_version
        if (version.major, version.minor) < NEEDED:
            there = f"{version.major}.{version.minor}.{version.patch}"
            raise Unanswered(f"is NATS {there}; {'.'.join(map(str, NEEDED))} or later is needed")
        # Into a queue, since next_msg() of a subscription makes a task and a UUID for each message.
        await self._connection.subscribe(f"{self._inbox}.*", cb=self._answers.put)

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

    @property
    def max_payload(self) -> int:
        """Bytes that a message may have, its headers included."""
        return self._connection.max_payload

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

    # ---- read

    def look(self, keys: Sequence[str], *, timeout: float, until: float = math.inf) -> dict[str, Entry]:
        """The entries of these keys at one point in time; ABSENT where there is none.

        Args:
            keys: of the documents, or of what else there is.
            timeout: seconds that may pass without more of the answer, here and elsewhere in what is asked.
            until: when it is to be complete, on the monotonic clock.

        Raises:
            Lost: nobody answers in time, or there is no such bucket.
            Stopped: `stop` was set meanwhile.
        """
        return self._run(self._look(keys), timeout, until)

    async def _look(self, keys: Sequence[str]) -> dict[str, Entry]:
        self._asked += 1
        inbox = f"{self._inbox}.{self._asked}"
        request = {"multi_last": [self._subject(key) for key in keys]}
        subject = f"$JS.API.DIRECT.GET.{self._stream}"
        await self._connection.publish(subject, json.dumps(request).encode(), reply=inbox)
        entries = dict.fromkeys(keys, ABSENT)
        while True:
            message = await self._answers.get()
            if message.subject != inbox:
                continue  # the answer to one that was given up
            headers = message.headers or {}
            status = headers.get("Status")
            if status is None:
                key = headers["Nats-Subject"].removeprefix(self._subject(""))
                entries[key] = Entry(int(headers[REVISION]), headers, message.data)
            elif status in ("204", "404"):  # the end; nothing there
                return entries
            elif status == "503":
                raise Unanswered(f"there is no bucket {self.name}: start `hotconfig relay`, or correct the address")
            else:
                raise Unanswered(f"bucket {self.name} answers {status} {headers.get('Description', '')}")

    def newest(self, key: str, *, timeout: float, until: float = math.inf) -> Entry:
        """What the stream's leader has under a key, or a pattern's newest; ABSENT if nothing. Raises as `look`."""
        return self._run(self._newest(key), timeout, until)

    async def _newest(self, key: str) -> Entry:
        try:
            found = await self._connection.jsm().get_last_msg(self._stream, self._subject(key))
        except NotFoundError:
            return ABSENT
        headers = {**(found.headers or {}), REVISION: str(found.seq)}
        return Entry(found.seq or 0, headers, found.data or b"")

    # ---- be told

    def listen(self, key: str, answer: Callable[[], str], *, timeout: float) -> None:
        """From now on `heard` tells of puts to this key; and whoever asks on subject `fleet` gets an answer."""
        self._run(self._listen(key, answer), timeout)

    async def _listen(self, key: str, answer: Callable[[], str]) -> None:
        async def hinted(message: Msg) -> None:
            # Whoever may publish here can send anything, and have us look again, which is all.
            headers = message.headers or {}
            revision = headers.get(REVISION, "")
            self.hint = headers if revision.isdecimal() and len(revision) <= LONGEST else {}
            self._news.set()

        async def asked(message: Msg) -> None:
            if message.reply:
                await message.respond(answer().encode())

        await self._connection.subscribe(f"hotconfig.{self.name}.{key}", cb=hinted)
        await self._connection.subscribe(f"hotconfig.{self.name}.fleet", cb=asked)
        await self._connection.flush()

    def heard(self, timeout: float) -> bool:
        """Whether there is a hint, waiting at most `timeout` seconds for one. Raises Lost, Stopped."""
        try:
            self._run(self._news.wait(), timeout, time.monotonic() + timeout)
        except Silent:
            return False
        self._news.clear()
        return True

    # ---- write

    def put(self, puts: Sequence[Put], *, timeout: float) -> list[int | None]:
        """Put them side by side; the new revision of each, or None if its key was not at the one that was expected.

        Raises as `look`.
        """
        return self._run(self._put_all(puts), timeout)

    async def _put_all(self, puts: Sequence[Put]) -> list[int | None]:
        return await asyncio.gather(*map(self._put, puts))

    async def _put(self, put: Put) -> int | None:
        headers = dict(put.headers)
        if put.revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(put.revision)
        try:
            done = await self._connection.jetstream().publish(
                self._subject(put.key), put.payload, headers=headers, timeout=math.inf, stream=self._stream
            )
        except APIError as error:
            if error.err_code in TAKEN:
                return None
            raise
        return done.seq

    # ---- the whole bucket

    def make(self, replicas: int | None, *, timeout: float) -> None:
        """Create the bucket, or have the one that is there say what it stores; of three replicas in a cluster."""
        self._run(self._make(replicas), timeout)

    async def _make(self, replicas: int | None) -> None:
        streams = self._connection.jsm()
        republish = api.RePublish(src=self._subject(">"), dest=f"hotconfig.{self.name}.>", headers_only=True)
        try:
            there = (await streams.stream_info(self._stream)).config
        except NotFoundError:
            config = api.KeyValueConfig(self.name, "hotconfig", direct=True, republish=republish)
            for number in [replicas] if replicas else [3, 1]:  # three where there is a cluster
                try:
                    await self._connection.jetstream().create_key_value(config.evolve(replicas=number))
                except APIError as error:
                    if replicas or number == 1 or error.err_code not in ALONE:
                        raise
                else:
                    break
            return
        # It may have been made when there were fewer servers, or not all of them were up.
        had = there.num_replicas or 1
        for number in [replicas] if replicas else [max(3, had), had]:
            wanted = there.evolve(allow_direct=True, republish=republish, num_replicas=number)
            if wanted == there:
                break
            try:
                await streams.update_stream(wanted)
            except APIError as error:
                if replicas or number == had or error.err_code not in ALONE:
                    raise
            else:
                break

    def entries(self, keys: str, *, timeout: float) -> dict[str, Entry]:
        """All entries that a pattern matches, without their payloads. Raises as `look`."""
        return self._run(self._entries(keys), timeout)

    async def _entries(self, keys: str) -> dict[str, Entry]:
        following = await self._connection.jetstream().subscribe(
            self._subject(keys),
            stream=self._stream,
            ordered_consumer=True,
            config=api.ConsumerConfig(deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT, headers_only=True),
        )
        entries: dict[str, Entry] = {}
        pending = (await following.consumer_info()).num_pending
        while pending:
            message = await following.next_msg(timeout=None)
            at = message.metadata
            pending = at.num_pending
            entries[message.subject.removeprefix(self._subject(""))] = Entry(
                at.sequence.stream, message.headers or {}, b""
            )
        await following.unsubscribe()
        return entries

    def count(self, *, timeout: float) -> int:
        """How many keys there are. Raises as `look`."""
        return self._run(self._count(), timeout)

    async def _count(self) -> int:
        return (await self._connection.jsm().stream_info(self._stream)).state.messages

    # ---- the loop

    def _subject(self, key: str) -> str:
        return f"$KV.{self.name}.{key}"

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
            raise Silent(f"no answer within {seconds:g} s")
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
        self._error = error


def _tls(address: Address) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    context = ssl.create_default_context(cafile=address.tls_ca)
    if address.tls_cert:
        context.load_cert_chain(address.tls_cert, address.tls_key)
    return context
