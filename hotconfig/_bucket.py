"""A JetStream key-value bucket, as hotconfig uses it.

    $KV.<bucket>.<key>        a message of the bucket's stream; its sequence is the key's revision
    hotconfig.<bucket>.<key>  the same without its payload, republished by the server once it is stored: a hint

What is read comes from whichever replica answers (NATS ADR-31, Direct Get: one request, one replica, one point in
time), so that a large fleet does not ask one leader. A replica may be behind: the caller compares revisions.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hotconfig._feed import Stop
from hotconfig._nats_link import APIError, Link, Msg, NotFoundError, Silent, Unanswered, api

TAKEN = 10071, 10164  # JetStream's error codes: the revision is not the expected one
ALONE = 10005, 10074  # there are not so many servers: no suitable peers, no cluster
REVISION = "Nats-Sequence"  # the header of whatever a stream has stored
LONGEST = 20  # digits of a revision
LISTED = 60.0  # seconds for all entries


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


ABSENT = Entry(0, {"KV-Operation": "DEL"}, b"")


class Bucket(Link):
    """Used by one thread at a time."""

    def __init__(self, name: str, stop: Stop) -> None:
        super().__init__(name, stop)
        self.hint: Mapping[str, str] = {}  # the headers of the last one
        self.deaf: str | None = None  # why no hint comes
        self._stream = f"KV_{name}"
        self._hints = ""  # the subject that they come on
        self._largest = math.inf  # bytes of a value, where whoever made the bucket says so
        self._news = asyncio.Event()
        self._asked = 0
        self._answers: asyncio.Queue[Msg] = asyncio.Queue()
        self._inbox = self._connection.new_inbox()

    async def _opened(self) -> None:
        # Into a queue, since next_msg() of a subscription makes a task and a UUID for each message.
        await self._connection.subscribe(f"{self._inbox}.*", cb=self._answers.put)

    @property
    def max_payload(self) -> int:
        """Bytes that a message may have, its headers included."""
        return int(min(self._connection.max_payload, self._largest))

    # ---- read

    def look(self, keys: Sequence[str], *, timeout: float, until: float = math.inf) -> dict[str, Entry]:
        """The entries of these keys at one point in time; ABSENT where there is none.

        Args:
            keys: of the documents, or of what else there is.
            timeout: seconds that may pass without more of the answer, here and elsewhere in what is asked; hints count
                for nothing.
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
        """What the stream's leader has under a key, and no replica has newer; ABSENT if nothing. Raises as `look`."""
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
            self._loop.selector.disregard()

        async def asked(message: Msg) -> None:
            self._loop.selector.disregard()
            if message.reply:
                await message.respond(answer().encode())

        self._hints = f"hotconfig.{self.name}.{key}"
        await self._connection.subscribe(self._hints, cb=hinted)
        await self._connection.subscribe(f"hotconfig.{self.name}.fleet", cb=asked)
        await self._connection.flush()

    async def _failed(self, error: Exception) -> None:
        await super()._failed(error)
        if self._hints and f'subscription to "{self._hints}"'.lower() in str(error).lower():
            self.deaf = f"this user may not subscribe to {self._hints}"

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
            info = await streams.stream_info(self._stream)
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
        there, had = info.config, info.config.num_replicas or 1
        self._largest = there.max_msg_size if there.max_msg_size and there.max_msg_size > 0 else math.inf
        if info.cluster is None or info.cluster.name is None:
            # A server alone takes any number, and has no bucket of several when it starts again.
            if replicas and replicas > 1:
                raise Unanswered(f"{replicas} replicas need a cluster, and this server is alone")
            numbers = [1]
        else:
            # It may have been made when there were fewer servers, or not all of them were up.
            numbers = [replicas] if replicas else [max(3, had), had]
        for number in numbers:
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
        # Else the heartbeats of a consumer that has lost a message would be waited for again and again.
        return self._run(self._entries(keys), timeout, time.monotonic() + LISTED)

    async def _entries(self, keys: str) -> dict[str, Entry]:
        following = await self._connection.jetstream().subscribe(
            self._subject(keys),
            stream=self._stream,
            ordered_consumer=True,
            config=api.ConsumerConfig(deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT, headers_only=True),
        )
        entries: dict[str, Entry] = {}
        info = await following.consumer_info()
        # What came before this answer is not pending any more, and yet to be read.
        pending = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        while pending:
            message = await following.next_msg(timeout=None)
            at = message.metadata
            pending = at.num_pending
            entries[message.subject.removeprefix(self._subject(""))] = Entry(
                at.sequence.stream, message.headers or {}, b""
            )
        await following.unsubscribe()
        return entries

    def _subject(self, key: str) -> str:
        return f"$KV.{self.name}.{key}"
