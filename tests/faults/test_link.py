"""Bad links: cut, half-open, silent, slow. What arrives, arrives within the bounds of promise 5."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from editing import Editor, eventually
from proxy import Proxy

from hotconfig import Client, Unavailable

HEARTBEAT = 1.0
MISSED = HEARTBEAT * 1.2 + 1.0
SILENT = HEARTBEAT * 1.2 + 10.0
DOWN = 35.0


@pytest.fixture
def client(through: str) -> Iterator[Client]:
    with Client(through, heartbeat=HEARTBEAT) as client:
        yield client


def test_a_cut_link(client: Client, proxy: Proxy, editor: Editor) -> None:
    """It is noticed at once, and the next connection brings what was missed."""
    for tokens in (1, 2, 3):
        proxy.cut()
        client.wait_for(editor.tokens(tokens), timeout=DOWN)
        eventually(lambda: client.status().healthy)
    assert client.status().reconnects == 3


def test_a_half_open_link(client: Client, proxy: Proxy, editor: Editor) -> None:
    """The connection looks alive and is dead: the heartbeat finds out, and a new one brings the edit."""
    proxy.abandon()

    client.wait_for(editor.tokens(1), timeout=SILENT)

    assert client.status().reconnects == 1


def test_a_silent_link(client: Client, proxy: Proxy, editor: Editor) -> None:
    """New connections are taken, and nothing answers: the state says so; when it answers again, the edit arrives."""
    proxy.stall()
    version = editor.tokens(1)
    eventually(lambda: client.status().state == "stale", timeout=SILENT)
    before = client.current()
    assert isinstance(client.status().error, Unavailable)
    assert before.ai_infra.llm_max_tokens != 1

    proxy.resume()

    client.wait_for(version, timeout=DOWN)


def test_a_link_that_is_refused(client: Client, proxy: Proxy, editor: Editor) -> None:
    """While nothing can be reached the last snapshot serves; then the edit arrives."""
    proxy.refuse()
    proxy.cut()
    version = editor.tokens(1)
    eventually(lambda: client.status().state == "stale")

    proxy.accept()

    client.wait_for(version, timeout=DOWN)


def test_a_missed_notification(client: Client, editor: Editor) -> None:
    """A version that nobody announced is found at the next heartbeat."""
    editor.run("SET session_replication_role = replica")
    editor.run("UPDATE config_state SET version = version + 1, token = gen_random_uuid()")

    client.wait_for(editor.version(), timeout=MISSED)


def test_a_long_way(through: str, proxy: Proxy, editor: Editor) -> None:
    """With a tenth of a second each way it starts, is live, and follows."""
    proxy.delay = 0.1
    with Client(through, heartbeat=HEARTBEAT) as client:
        client.wait_for(editor.tokens(1), timeout=DOWN)
        assert client.status().state == "live"
        assert client.status().reconnects == 0


def test_a_document_that_takes_its_time(client: Client, proxy: Proxy, editor: Editor) -> None:
    """One of 1 MB over a thin line takes longer than any answer may be silent, and arrives at the first attempt."""
    proxy.rate = 100_000
    editor.run(
        "UPDATE config_prompts SET system_prompt = string_agg FROM "
        "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 31250) n) AS large"
    )
    began = time.monotonic()

    assert len(client.wait_for(editor.version(), timeout=DOWN).prompts.system_prompt) == 1_000_000

    assert time.monotonic() - began > 6, "it was to be slow"
    assert client.status().reconnects == 0
