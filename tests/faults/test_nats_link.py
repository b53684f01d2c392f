"""NATS between the relay and the clients: links that are cut, servers that are killed, buckets that go."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator

import nats
import pytest
from bounds import DOWN, HEARTBEAT, MISSED, SILENT, Within
from editing import Editor, eventually
from feeds import Relayed
from nats.js import api

from hotconfig import Client, Unavailable


@pytest.fixture
def client(bucket: Relayed) -> Iterator[Client]:
    with Client(bucket.url, heartbeat=HEARTBEAT) as client:
        yield client


@pytest.fixture
def other(lively: Relayed) -> Iterator[Client]:
    """Of a server that may be broken."""
    with Client(lively.url, heartbeat=HEARTBEAT) as client:
        yield client


def test_a_cut_link(client: Client, bucket: Relayed, editor: Editor, within: Within) -> None:
    """The link is cut, three times: the next connection brings what was missed."""
    for tokens in (1, 2, 3):
        bucket.proxy.cut()
        with within(DOWN) as limit:
            client.wait_for(editor.tokens(tokens), timeout=limit)
        eventually(lambda: client.status().healthy)
    assert client.status().reconnects == 3


def test_a_half_open_link(client: Client, bucket: Relayed, editor: Editor, within: Within) -> None:
    """A firewall forgets the connection: it looks alive and is dead, until the heartbeat finds out."""
    bucket.proxy.abandon()

    with within(SILENT) as limit:
        client.wait_for(editor.tokens(1), timeout=limit)

    assert client.status().reconnects == 1


def test_a_silent_link(client: Client, bucket: Relayed, editor: Editor, within: Within) -> None:
    """Connections are taken, and nothing answers: the state says so; when it answers again, the edit arrives."""
    bucket.proxy.stall()
    version = editor.tokens(1)
    with within(SILENT) as limit:
        eventually(lambda: client.status().state == "stale", timeout=limit)
    assert isinstance(client.status().error, Unavailable)
    assert client.current().ai_infra.llm_max_tokens != 1

    bucket.proxy.resume()

    with within(DOWN) as limit:
        client.wait_for(version, timeout=limit)


def test_a_hint_that_is_lost(client: Client, bucket: Relayed, editor: Editor, within: Within) -> None:
    """The server republishes nothing any more: what was put is found at the next heartbeat."""

    async def silence(connection: nats.NATS) -> None:
        streams = connection.jsm()
        config = (await streams.stream_info(f"KV_{bucket.bucket}")).config
        assert config.republish is not None
        await streams.update_stream(config.evolve(republish=None))
        assert (await streams.stream_info(f"KV_{bucket.bucket}")).config.republish is None

    bucket.server.run(silence)

    with within(MISSED) as limit:
        client.wait_for(editor.tokens(1), timeout=limit)
    assert client.status().reconnects == 0


def test_a_long_way(bucket: Relayed, editor: Editor, within: Within) -> None:
    """A tenth of a second each way: it starts, is live, and follows."""
    bucket.proxy.delay = 0.1
    with Client(bucket.url, heartbeat=HEARTBEAT) as client:
        with within(MISSED) as limit:
            client.wait_for(editor.tokens(1), timeout=limit)
        assert client.status().state == "live"
        assert client.status().reconnects == 0


def test_a_document_that_takes_its_time(client: Client, bucket: Relayed, editor: Editor) -> None:
    """What takes longer than any answer may be silent arrives at the first attempt."""
    bucket.proxy.rate = 100_000
    editor.run(
        "UPDATE config_prompts SET system_prompt = string_agg FROM "
        "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 25000) n) AS large"
    )
    began = time.monotonic()

    assert len(client.wait_for(editor.version(), timeout=35).prompts.system_prompt) == 800_000

    assert time.monotonic() - began > 6, "it was to be slow"
    assert client.status().reconnects == 0


def test_a_server_that_is_killed(other: Client, lively: Relayed, editor: Editor, within: Within) -> None:
    """Killed and started again: relay and client are back, and what was committed meanwhile is there."""
    lively.server.kill(0)
    eventually(lambda: other.status().state == "stale")
    version = editor.tokens(1)
    assert isinstance(other.status().error, Unavailable)
    lively.server.start()

    with within(DOWN) as limit:
        assert other.wait_for(version, timeout=limit).ai_infra.llm_max_tokens == 1
    assert other.status().rewinds == 0


def test_a_server_that_is_frozen(other: Client, lively: Relayed, editor: Editor, within: Within) -> None:
    """Its process stops, the connections stay: the heartbeat finds out; when it goes on, the edit arrives."""
    lively.server.signal(0, signal.SIGSTOP)
    with within(SILENT) as limit:
        eventually(lambda: other.status().state == "stale", timeout=limit)
    version = editor.tokens(1)

    lively.server.signal(0, signal.SIGCONT)

    with within(DOWN) as limit:
        other.wait_for(version, timeout=limit)


def test_a_server_that_has_lost_everything(other: Client, lively: Relayed, editor: Editor, within: Within) -> None:
    """It comes back empty: the relay makes the bucket anew, where revisions begin with 1, and clients follow."""
    for tokens in range(1, 20):
        other.wait_for(editor.tokens(tokens))
    before = other.current()
    lively.server.kill(0)
    shutil.rmtree(lively.server.root / "0")
    lively.server.start()

    with within(DOWN) as limit:
        newest = other.wait_for(editor.tokens(99), timeout=limit)
    assert newest.version == before.version + 1
    assert other.status().rewinds == 0


def test_a_bucket_that_is_deleted(other: Client, lively: Relayed, editor: Editor, within: Within) -> None:
    """The relay makes it anew at its next heartbeat; clients say meanwhile that there is none, and follow."""
    for tokens in range(1, 20):
        other.wait_for(editor.tokens(tokens))
    lively.server.delete("hotconfig")

    with within(DOWN) as limit:
        other.wait_for(editor.tokens(99), timeout=limit)
    assert other.status().rewinds == 0
    eventually(lambda: other.status().healthy)


def test_a_bucket_that_cannot_be_read(client: Client, bucket: Relayed) -> None:
    """Somebody has turned Direct Get off: it is said, and the last snapshot serves on."""

    async def turn_off(connection: nats.NATS) -> None:
        streams = connection.jsm()
        config: api.StreamConfig = (await streams.stream_info(f"KV_{bucket.bucket}")).config
        await streams.update_stream(config.evolve(allow_direct=False))

    bucket.server.run(turn_off)
    eventually(lambda: client.status().state == "stale")
    assert "no bucket" in str(client.status().error)
    assert client.current().profile.name == "default"
