"""Servers and sessions that are killed, frozen, restarted, ended by an administrator."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import servers
from bounds import DOWN, HEARTBEAT, MISSED, SILENT, Within
from conftest import Psql
from editing import Editor, eventually
from servers import Server

from hotconfig import Client, Unavailable, migrations
from hotconfig.admin import Admin


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Of these tests alone: each breaks it, and leaves it running."""
    with servers.running() as server:
        # What was confirmed survives kill -9; a power cut is not tried.
        server.psql("postgres", "ALTER ROLE postgres SET synchronous_commit = on")
        yield server
        assert "PANIC" not in server.log()


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database, heartbeat=HEARTBEAT) as client:
        yield client


def backend(psql: Psql) -> int:
    """The client's."""
    return int(psql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hotconfig:%'"))


def edit(psql: Psql, tokens: int) -> int:
    return int(psql(f"UPDATE config_ai_infra SET llm_max_tokens = {tokens}; SELECT version FROM config_state"))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart(mode: str, client: Client, server: Server, psql: Psql, within: Within) -> None:
    """The server is restarted, with a farewell and without one."""
    server.stop(mode)
    eventually(lambda: client.status().state == "stale")
    assert isinstance(client.status().error, Unavailable)
    server.start()

    with within(DOWN) as limit:
        client.wait_for(edit(psql, 1), timeout=limit)


def test_a_server_that_is_killed(client: Client, server: Server, psql: Psql, within: Within) -> None:
    """The server is killed (kill -9) right after an edit, and recovers."""
    version = edit(psql, 1)
    server.signal(signal.SIGKILL)
    server.start()

    with within(DOWN) as limit:
        client.wait_for(version, timeout=limit)
        client.wait_for(edit(psql, 2), timeout=limit)
    assert client.status().rewinds == 0


def test_a_session_that_is_killed(client: Client, database: str, psql: Psql, within: Within) -> None:
    """The session's process is killed (kill -9): the server ends all others too, and recovers."""
    os.kill(backend(psql), signal.SIGKILL)
    eventually(lambda: client.status().reconnects or client.status().state == "stale")
    eventually(lambda: answers(database))

    with within(DOWN) as limit:
        client.wait_for(edit(psql, 1), timeout=limit)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_session_that_is_ended(client: Client, editor: Editor, within: Within) -> None:
    """pg_terminate_backend, three times."""
    for tokens in (1, 2, 3):
        editor.terminate()
        with within(DOWN) as limit:
            client.wait_for(editor.tokens(tokens), timeout=limit)
        eventually(lambda: client.status().healthy)
    assert client.status().reconnects == 3


def test_a_statement_that_is_cancelled(client: Client, editor: Editor, within: Within) -> None:
    """pg_cancel_backend on an idle session: nothing happens."""
    editor.run("SELECT pg_cancel_backend(%s)", [editor.readers()[0]])

    with within(MISSED) as limit:
        client.wait_for(editor.tokens(1), timeout=limit)
    assert client.status().reconnects == 0


def test_a_session_that_is_frozen(client: Client, editor: Editor, within: Within) -> None:
    """The session's process is stopped (SIGSTOP): the heartbeat finds out, and a new one brings the edit."""
    frozen = editor.readers()[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        with within(SILENT) as limit:
            client.wait_for(editor.tokens(1), timeout=limit)
    finally:
        os.kill(frozen, signal.SIGCONT)


def test_a_server_that_is_frozen(client: Client, server: Server, psql: Psql, within: Within) -> None:
    """The server with all its sessions is stopped (SIGSTOP), and goes on later."""
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    family = [postmaster, *map(int, psql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").split())]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        with within(SILENT) as limit:
            eventually(lambda: client.status().state == "stale", timeout=limit)
        assert client.current().profile.name == "default"
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)

    with within(DOWN) as limit:
        client.wait_for(edit(psql, 1), timeout=limit)


def test_a_server_that_takes_no_connections(client: Client, server: Server, editor: Editor, within: Within) -> None:
    """Only the postmaster is stopped (SIGSTOP): the sessions that there are go on."""
    server.signal(signal.SIGSTOP)
    try:
        with within(MISSED) as limit:
            client.wait_for(editor.tokens(1), timeout=limit)
    finally:
        server.signal(signal.SIGCONT)
    assert client.status().reconnects == 0


def test_an_embedded_server_that_is_killed(directory: Path, within: Within) -> None:
    """The embedded server is killed (kill -9): the client itself starts it again."""
    address = f"embedded:{directory}"
    migrations.upgrade(address)
    with Admin(address) as admin:
        admin.init()
        with Client(address, heartbeat=HEARTBEAT) as client:
            os.kill(int((directory / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            with within(DOWN) as limit:
                eventually(lambda: client.status().reconnects, timeout=limit)
            admin.close()
            client.wait_for(admin.update(None, {"ai_infra.llm_max_tokens": 1}).version)
