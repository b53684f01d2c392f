"""What is of a client on NATS alone: its loop, its descriptors, large documents, schemas, a server that is away."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import nats_servers
import pytest
import uvloop
from bounds import HEARTBEAT, SILENT, Within
from editing import FOREVER, Editor, eventually, threads
from feeds import Relayed
from nats.aio.client import Client as Connection
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, KeyValueConfig
from nats_servers import Nats
from relays import Running

from hotconfig import Client, Snapshot, Unavailable, migrations
from hotconfig._apart import Apart
from hotconfig._bucket import Bucket, Entry
from hotconfig._feed import Stop
from hotconfig._health import health
from hotconfig._nats_address import key_of, parse


class Own(Snapshot):
    text: str


def descriptors() -> set[str]:
    """That this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_start_in_a_coroutine(bucket: Relayed, editor: Editor, run: Callable[..., float]) -> None:
    """It holds the loop up and no more: the loop goes on, and so does the client beside it."""

    async def main() -> float:
        with Client(bucket.url, heartbeat=FOREVER) as client:
            assert client.status().healthy
            version = await asyncio.to_thread(editor.temperature, 0.1)
            await asyncio.to_thread(client.wait_for, version)
            return client.current().ai_infra.llm_temperature

    assert run(main()) == 0.1
    assert threads() == []


def test_a_close_leaves_nothing(bucket: Relayed, editor: Editor) -> None:
    """However often: no thread, no descriptor, no task that complains of its end, no connection."""
    url = bucket.url

    def use() -> None:
        with Client(url, heartbeat=FOREVER) as client:
            client.wait_for(editor.tokens(editor.version()))
        eventually(lambda: bucket.readers() == [])

    use()
    before = descriptors()
    for _ in range(5):
        use()
    gc.collect()
    assert threads() == []
    eventually(lambda: descriptors() == before)  # the proxy closes its own in a thread


def test_a_failed_start_leaves_nothing(bucket: Relayed) -> None:
    """Of whatever it had, when the document or the bucket is not there, or nobody answers."""
    url = bucket.url

    def fail() -> None:
        with pytest.raises(Unavailable):
            Client(url + "-never").start()
        with pytest.raises(Unavailable):
            Client("nats://127.0.0.1:1/x").start()
        bucket.proxy.stall()
        with pytest.raises(Unavailable, match=r"no answer within 0\.[0-9]+ s"):
            Client(url).start(timeout=0.2)
        bucket.proxy.resume()
        eventually(lambda: bucket.proxy.links == 0)

    fail()
    before = descriptors()
    fail()
    gc.collect()
    assert threads() == []
    eventually(lambda: descriptors() <= before)  # the proxy closes its own in a thread, also those of before


def test_a_start_while_nats_is_down(bucket: Relayed, editor: Editor, tmp_path: Path) -> None:
    """It serves what the cache remembers; later it is live, without a restart."""
    url = bucket.url
    with Client(url, cache=tmp_path / "config") as client:
        remembered = client.current()
    bucket.close()
    with Client(url, cache=tmp_path / "config") as client:
        assert (client.current(), client.status().state) == (remembered, "stale")
        bucket.open()
        assert client.wait_for(editor.temperature(0.1), timeout=20).ai_infra.llm_temperature == 0.1


def test_entries_that_come_early(bucket: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list has all of them, also those that came before it was known how many there are."""
    ask = JetStreamContext.PushSubscription.consumer_info

    async def late(following: JetStreamContext.PushSubscription) -> ConsumerInfo:
        await asyncio.sleep(0.3)
        return await ask(following)

    monkeypatch.setattr(JetStreamContext.PushSubscription, "consumer_info", late)
    address = parse(bucket.url)
    with (
        closing(Stop()) as stop,
        closing(Bucket.connect(address, bucket.bucket, Apart(), stop, member="test", timeout=20)) as link,
    ):
        assert set(link.entries("document.>", timeout=20)) == {key_of("active"), key_of("profile/default")}
        assert link.entries("nothing.>", timeout=20) == {}


@pytest.mark.parametrize("busy", [False, True])
def test_a_lost_answer(
    bucket: Relayed, editor: Editor, monkeypatch: pytest.MonkeyPatch, within: Within, *, busy: bool
) -> None:
    """It is not waited for as long as hints come, which have nothing to do with it."""
    lost = threading.Event()
    publish = Connection.publish

    async def losing(connection: Connection, subject: str, *args: Any, **options: Any) -> None:
        if armed and "DIRECT.GET" in subject and not lost.is_set():
            lost.set()
        else:
            await publish(connection, subject, *args, **options)

    armed: list[bool] = []
    monkeypatch.setattr(Connection, "publish", losing)
    with Client(bucket.url, heartbeat=HEARTBEAT) as client:
        client.wait_for(editor.tokens(1), timeout=20)
        armed.append(True)
        version = editor.tokens(2)
        assert lost.wait(20)
        with within(SILENT) as seconds:
            deadline = time.monotonic() + seconds
            while (client.status().version or 0) < version and time.monotonic() < deadline:
                if busy:
                    editor.publish("own", f'{{"n": {time.monotonic()}}}')
                time.sleep(0.2)


def test_an_address_that_says_nothing(bucket: Relayed, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name stands for several: one takes connections and says nothing, the next one is the server's."""
    url = bucket.url
    getaddrinfo = socket.getaddrinfo

    def two(host: str, *args: Any) -> list[Any]:
        if host != "nats.test":
            return getaddrinfo(host, *args)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, 0)) for at in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with (
        socket.create_server(("127.0.0.2", bucket.proxy.port)),
        Client(url.replace("127.0.0.1", "nats.test"), heartbeat=FOREVER) as client,
    ):
        assert client.wait_for(editor.tokens(7)).ai_infra.llm_max_tokens == 7


ENDS = """
import socket, sys, time, hotconfig
socket.getaddrinfo = lambda *_: time.sleep(1000)
try:
    hotconfig.Client(sys.argv[1]).start(timeout=0.5)
except hotconfig.Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize("scheme", ["nats", "postgresql"])
def test_a_resolver_that_says_nothing(scheme: str) -> None:
    """Neither the start nor the end of the process waits for it."""
    command = [sys.executable, "-c", ENDS, f"{scheme}://nowhere.test/x"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    assert 'could not translate host name "nowhere.test" to address: no answer within' in done.stdout


@pytest.mark.parametrize("times", [1, FOREVER])
@pytest.mark.parametrize("behind", ["state", "document"])
def test_a_replica_that_is_behind(
    behind: str, times: int, bucket: Relayed, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has is not taken, be it the state or the document: it is asked again, at last the one that leads."""
    told: list[int] = []
    with Client(bucket.url, heartbeat=FOREVER) as client:
        client.subscribe(lambda change: told.append(change.new.version))
        looks: list[dict[str, Entry]] = []
        look = Bucket.look

        def late(bucket: Bucket, keys: Sequence[str], *, timeout: float, until: float) -> dict[str, Entry]:
            found = look(bucket, keys, timeout=timeout, until=until)
            looks.append(found)
            if len(looks) > 2 and len(looks) - 2 <= times:  # as of the first of them
                return {key: looks[0][key] if (key == "state") == (behind == "state") else found[key] for key in keys}
            return found

        monkeypatch.setattr(Bucket, "look", late)
        for tokens in (1, 2, 3):
            version = editor.tokens(tokens)
            assert client.wait_for(version, timeout=20).ai_infra.llm_max_tokens == tokens
        assert len(looks) > 3
        eventually(lambda: told[-1:] == [version])
        assert told == sorted(told)
        assert client.status().rewinds == 0


def test_a_document_that_is_too_large(database: str, editor: Editor) -> None:
    """Client and relay say so, and what to do; the last snapshot serves; made smaller, it arrives; others go on."""
    editor.publish("own", '{"text": "short"}')
    with nats_servers.running(max_payload="65536") as server:
        relaying = Running(database, server.url, FOREVER)
        relay = relaying.relay
        try:
            eventually(lambda: relay.relayed == editor.version())
            with Client(server.url, model=Own, document="own", heartbeat=FOREVER) as client:
                large = editor.publish("own", f'{{"text": "{"x" * 70_000}"}}')
                eventually(lambda: client.status().error)
                said = str(client.status().error)
                assert "document 'own' has 70" in said
                assert "Next: raise max_payload of the servers, or make the document smaller." in said
                assert client.current().text == "short"
                eventually(lambda: relay.relayed == large)
                assert (health(relay)["too_large"], health(relay)["healthy"]) == (["own"], False)
                with pytest.raises(Unavailable, match="Next: raise max_payload"):
                    Client(server.url, model=Own, document="own").start()
                with Client(server.url) as other:
                    other.wait_for(editor.temperature(0.1))

                mended = editor.publish("own", '{"text": "short again"}')

                assert client.wait_for(mended, timeout=40).text == "short again"
                eventually(lambda: client.status().healthy)
                assert (health(relay)["too_large"], health(relay)["healthy"]) == ([], True)
                editor.publish("own", f'{{"text": "{"x" * 70_000}"}}')
                eventually(lambda: health(relay)["too_large"] == ["own"])
                gone = editor.publish("own", None)
                eventually(lambda: relay.relayed == gone)
                assert (health(relay)["too_large"], health(relay)["healthy"]) == ([], True)
        finally:
            relaying.stop()


def test_a_bucket_with_a_largest_value(database: str, database_name: str, editor: Editor, nats_server: Nats) -> None:
    """As its maker said: what is larger holds nobody else up."""

    async def make(connection: Connection) -> None:
        config = KeyValueConfig(database_name, direct=True, max_value_size=20_000)
        await connection.jetstream().create_key_value(config)

    nats_server.run(make)
    relaying = Running(database, f"{nats_server.url}/{database_name}", FOREVER)
    try:
        version = editor.publish("own", json.dumps({"text": "x" * 30_000}))
        eventually(lambda: relaying.relay.relayed == version)
        version = editor.temperature(0.3)
        eventually(lambda: relaying.relay.relayed == version)
        assert (health(relaying.relay)["too_large"], health(relaying.relay)["healthy"]) == (["own"], False)
    finally:
        relaying.stop()
        nats_server.delete(database_name)


def test_servers_that_take_more(database: str, editor: Editor) -> None:
    """What was too large for them arrives when the relay finds them again, though nobody edits it."""
    large = editor.publish("own", f'{{"text": "{"x" * 70_000}"}}')
    with nats_servers.running(max_payload="65536") as server:
        for small in (True, True, False):  # the second relay did not put it
            if not small:
                server.kill(0)
                server.settings["max_payload"] = "131072"
                server.start()
            relaying = Running(database, server.url, FOREVER)
            eventually(lambda relay=relaying.relay: relay.relayed == large)  # type: ignore[misc]
            relaying.stop()
            assert health(relaying.relay)["too_large"] == ["own"] * small
        with Client(server.url, model=Own, document="own") as client:
            assert len(client.current().text) == 70_000


def test_a_schema_has_its_own_bucket(database: str, editor: Editor, nats_server: Nats) -> None:
    """Two installations in one database are relayed by two relays, to one address, and read by their schema."""
    migrations.upgrade(database, schema="se.cond")
    to = f"{nats_server.url}/schemas"
    editor.publish("own", '{"text": "first"}')
    editor.run('SELECT "se.cond".config_publish(%s, %s)', ["own", '{"text": "second"}'])
    relays = [Running(database, to, FOREVER, schema=schema) for schema in ("public", "se.cond")]
    try:
        eventually(lambda: all(each.relay.relayed is not None for each in relays))
        for schema, text in (("public", "first"), ("se.cond", "second")):
            with Client(to, model=Own, document="own", schema=schema) as client:
                assert client.current().text == text
    finally:
        for each in relays:
            each.stop()
        for bucket in ("schemas", "schemas-se-2Econd"):
            nats_server.delete(bucket)


def test_a_child_of_a_frozen_server(lively: Relayed) -> None:
    """The first use blocks a second at most, then the inherited snapshot serves, stale; the child goes on trying."""
    with Client(lively.url, heartbeat=FOREVER) as client:
        lively.server.signal(0, signal.SIGSTOP)
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            served = client.current() == client._newest and client.status().state == "stale"
            os.write(sender, b"\0")
            eventually(lambda: client.status().healthy)
            os._exit(0 if served else 1)
        os.read(receiver, 1)
        lively.server.signal(0, signal.SIGCONT)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.close(receiver)
        os.close(sender)
