"""Bad links: cut, half-open, silent, slow."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from bounds import DOWN, HEARTBEAT, MISSED, SILENT, Within
from editing import Editor, eventually
from proxy import Proxy

from hotconfig import Client, Unavailable


@pytest.fixture
def client(through: str) -> Iterator[Client]:
    with Client(through, heartbeat=HEARTBEAT) as client:
        yield client


def test_a_cut_link(client: Client, proxy: Proxy, editor: Editor, within: Within) -> None:
    """The link is cut, three times: the next connection brings what was missed."""
    for tokens in (1, 2, 3):
        proxy.cut()
        with within(DOWN) as limit:
            client.wait_for(editor.tokens(tokens), timeout=limit)
        eventually(lambda: client.status().healthy)
    assert client.status().reconnects == 3


def test_a_half_open_link(client: Client, proxy: Proxy, editor: Editor, within: Within) -> None:
    """A firewall forgets the connection: it looks alive and is dead, until the heartbeat finds out."""
    proxy.abandon()

    with within(SILENT) as limit:
        client.wait_for(editor.tokens(1), timeout=limit)

    assert client.status().reconnects == 1


def test_a_silent_link(client: Client, proxy: Proxy, editor: Editor, within: Within) -> None:
    """Connections are taken, and nothing answers: the state says so; when it answers again, the edit arrives."""
    proxy.stall()
    version = editor.tokens(1)
    with within(SILENT) as limit:
        eventually(lambda: client.status().state == "stale", timeout=limit)
    before = client.current()
    assert isinstance(client.status().error, Unavailable)
    assert before.ai_infra.llm_max_tokens != 1

    proxy.resume()

    with within(DOWN) as limit:
        client.wait_for(version, timeout=limit)


def test_a_link_that_is_refused(client: Client, proxy: Proxy, editor: Editor, within: Within) -> None:
    """Nothing can be reached: the last snapshot serves; when it can, the edit arrives."""
    proxy.refuse()
    proxy.cut()
    version = editor.tokens(1)
    eventually(lambda: client.status().state == "stale")

    proxy.accept()

    with within(DOWN) as limit:
        client.wait_for(version, timeout=limit)


def test_a_missed_notification(client: Client, editor: Editor, within: Within) -> None:
    """A version that nobody announced is found at the next heartbeat."""
    editor.run("SET session_replication_role = replica")
    editor.run("UPDATE config_state SET version = version + 1, token = gen_random_uuid()")

    with within(MISSED) as limit:
        client.wait_for(editor.version(), timeout=limit)


def test_a_long_way(through: str, proxy: Proxy, editor: Editor, within: Within) -> None:
    """A tenth of a second each way: it starts, is live, and follows."""
    proxy.delay = 0.1
    with Client(through, heartbeat=HEARTBEAT) as client:
        with within(MISSED) as limit:
            client.wait_for(editor.tokens(1), timeout=limit)
        assert client.status().state == "live"
        assert client.status().reconnects == 0


def test_a_document_that_takes_its_time(client: Client, proxy: Proxy, editor: Editor) -> None:
    """1 MB over a thin line takes longer than any answer may be silent, and arrives at the first attempt."""
    proxy.rate = 100_000
    editor.run(
        "UPDATE config_prompts SET system_prompt = string_agg FROM "
        "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 31250) n) AS large"
    )
    began = time.monotonic()

    assert len(client.wait_for(editor.version(), timeout=35).prompts.system_prompt) == 1_000_000

    assert time.monotonic() - began > 6, "it was to be slow"
    assert client.status().reconnects == 0
