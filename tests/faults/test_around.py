"""What stands between a client and its server, or was never there; and processes that start others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import servers
import uvloop
from bounds import DOWN, HEARTBEAT, MISSED, Within
from editing import FOREVER, Editor, eventually
from proxy import Proxy
from servers import Server

from hotconfig import Client


def test_a_pooler_in_transaction_mode(
    pooler: Callable[[str], str], editor: Editor, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    """PgBouncer in transaction mode swallows notifications: the state is polling, edits arrive with the heartbeat."""
    with caplog.at_level(logging.WARNING), Client(pooler("transaction"), heartbeat=HEARTBEAT) as client:
        assert client.status().state == "polling"
        for tokens in (1, 2, 3):
            with within(MISSED) as limit:
                client.wait_for(editor.tokens(tokens), timeout=limit)
    assert len(caplog.records) == 1


def test_a_pooler_in_session_mode(pooler: Callable[[str], str], editor: Editor) -> None:
    """PgBouncer in session mode: the state is live, edits arrive at once, though no heartbeat comes."""
    with Client(pooler("session"), heartbeat=FOREVER) as client:
        assert client.status().state == "live"
        client.wait_for(editor.tokens(1), timeout=DOWN.seconds)


def test_a_standby(own_server: Server, within: Within) -> None:
    """Only a standby can be reached: the state is polling, edits arrive with the heartbeat after their replay."""
    with (
        servers.running(own_server) as standby,
        Client(standby.url(servers.TEMPLATE), heartbeat=HEARTBEAT) as client,
    ):
        assert client.status().state == "polling"
        own_server.psql(servers.TEMPLATE, "UPDATE config_ai_infra SET llm_max_tokens = 1")
        eventually(lambda: standby.psql(servers.TEMPLATE, "SELECT max(llm_max_tokens) FROM config_ai_infra") == "1")
        with within(MISSED) as limit:
            client.wait_for(until=lambda c: c.ai_infra.llm_max_tokens == 1, timeout=limit)


def test_a_start_without_a_database(through: str, proxy: Proxy, editor: Editor, tmp_path: Path, within: Within) -> None:
    """A process starts from its cache while nothing can be reached; then the database has the last word."""
    path = tmp_path / "config"
    with Client(through, cache=path) as before:
        remembered = before.current()
    proxy.refuse()
    with Client(through, cache=path, heartbeat=HEARTBEAT) as client:
        assert client.current() == remembered
        assert client.status().state == "stale"
        version = editor.tokens(1)
        proxy.accept()

        with within(DOWN) as limit:
            client.wait_for(version, timeout=limit)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_that_starts_programs(run: Callable[..., list[bytes]], client: Client, editor: Editor) -> None:
    """A process that follows starts 100 programs from asyncio or uvloop, whose fork hooks run: its session stays."""

    async def one() -> bytes:
        program = await asyncio.create_subprocess_exec("/bin/echo", "x", stdout=asyncio.subprocess.PIPE)
        return (await program.communicate())[0]

    async def many() -> list[bytes]:
        said = []
        for tokens in range(1, 11):
            said += await asyncio.gather(*[one() for _ in range(10)])
            version = await asyncio.to_thread(editor.tokens, tokens)
            await asyncio.to_thread(client.wait_for, version)
        return said

    client.start()
    session = editor.readers()

    assert run(many()) == [b"x\n"] * 100

    assert editor.readers() == session
    assert client.status().reconnects == 0
