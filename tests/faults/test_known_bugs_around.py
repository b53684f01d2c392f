"""Bugs that clients of LISTEN and NOTIFY have had, one test each: subscribers, editors, servers, poolers, forks."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import partial

import psycopg
import pytest
from conftest import Connect
from editing import FOREVER, Editor, eventually
from psycopg.sql import SQL, Identifier
from servers import TEMPLATE, Server, running

from hotconfig import Change, Client, Snapshot, _feed, migrations
from hotconfig._feed import LOOK_PAUSE, Stop


def test_transaction_pooler_swallows_listen(pooler: Callable[[str], str], editor: Editor) -> None:
    """It is found out at the start, and the version is polled for."""
    with Client(pooler("transaction"), heartbeat=0.1) as client:
        assert client.status().state == "polling"
        client.wait_for(editor.temperature(0.1))


def test_listen_on_a_standby(own_server: Server) -> None:
    """A standby refuses LISTEN: it is polled, and edits arrive as they are replayed."""
    with (
        running(own_server) as standby,
        psycopg.connect(own_server.url(TEMPLATE), autocommit=True) as connection,
        Client(standby.url(TEMPLATE), heartbeat=0.1) as client,
    ):
        assert client.status().state == "polling"
        client.wait_for(Editor(connection).temperature(0.1), timeout=20)


def test_slow_callback_stalls_the_socket(client: Client, editor: Editor) -> None:
    """While a subscriber is stuck, versions come in and are acknowledged."""
    stuck, go_on = threading.Event(), threading.Event()

    def slow(_: Change) -> None:
        stuck.set()
        go_on.wait(timeout=30)

    client.subscribe(slow)
    editor.temperature(0.1)
    assert stuck.wait(timeout=10)

    for temperature in (0.2, 0.3, 0.4):
        client.wait_for(editor.temperature(temperature))
    editor.settled()
    go_on.set()


def test_callback_exception_kills_the_thread(client: Client, editor: Editor, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next change is told like the one before."""
    told: list[int] = []

    def raises(change: Change) -> None:
        told.append(change.new.version)
        raise RuntimeError("of a subscriber")

    client.subscribe(raises)
    for tokens in (1, 2, 3):
        version = client.wait_for(editor.tokens(tokens)).version
        eventually(partial(lambda version: told[-1:] == [version], version))
    assert "of a subscriber" in caplog.text


def test_payload_over_8000_bytes(client: Client, editor: Editor) -> None:
    """A prompt of 1 MB commits and arrives: the notification does not carry it."""
    client.start()

    editor.run("UPDATE config_prompts SET system_prompt = repeat('x', 1048576)")

    assert len(client.wait_for(editor.version()).prompts.system_prompt) == 1048576


def test_sequence_order(client: Client, connect: Connect, editor: Editor) -> None:
    """Versions are in the order of the commits: who edits first and commits last makes the newer one."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('other')")
    first, second = connect(autocommit=False), connect(autocommit=False)
    first.execute("UPDATE config_ai_infra SET llm_max_tokens = 1")
    second.execute("UPDATE config_profiles SET description = 'second' WHERE name = 'other'")
    second.commit()
    between = editor.version()
    first.commit()

    assert client.wait_for(editor.version()).ai_infra.llm_max_tokens == 1
    assert client.current().version == editor.version() == between + 1


def test_fork_kills_the_parents_session(client: Client, editor: Editor) -> None:
    """A child that uses the client, drops it and ends leaves the parent its session."""
    client.start()
    before = editor.readers()

    child = multiprocessing.get_context("fork").Process(target=client.current)
    child.start()
    child.join(20)

    assert child.exitcode == 0
    eventually(lambda: editor.readers() == before)  # the child's own has ended
    client.wait_for(editor.temperature(0.1))
    assert client.status().reconnects == 0


def test_fork_child_has_no_thread(client: Client, editor: Editor) -> None:
    """The child starts one of its own at its first use, and follows."""
    client.start()
    receiver, sender = os.pipe()

    def follow() -> None:
        client.current()
        os.write(sender, b"1")
        client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.1, timeout=20)

    child = multiprocessing.get_context("fork").Process(target=follow)
    child.start()
    os.read(receiver, 1)
    editor.temperature(0.1)
    child.join(30)
    os.close(receiver)
    os.close(sender)

    assert child.exitcode == 0


def test_dead_connection_retried_hot(database: str, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause is half to all of 0.2 s, 1.6 s, then of 5 s, and begins anew after a stable connection."""
    where = database
    pauses: list[float] = []
    wait = Stop.wait

    def noted(stop: Stop, timeout: float) -> bool:
        if timeout == LOOK_PAUSE:
            return wait(stop, timeout)
        pauses.append(timeout)
        return wait(stop, 0)

    monkeypatch.setattr(Stop, "wait", noted)
    monkeypatch.setattr(_feed, "STABLE", math.inf)
    with Client(lambda: where, heartbeat=FOREVER) as client:
        where = "postgresql://127.0.0.1:1/nowhere"
        editor.terminate()
        eventually(lambda: len(pauses) >= 102)
        first, second, *others = pauses
        assert 0.1 <= first <= 0.2
        assert 0.8 <= second <= 1.6
        assert all(2.5 <= pause <= 5 for pause in others)
        assert len(set(others)) > 90
        where = database
        eventually(lambda: client.status().healthy)

        monkeypatch.setattr(_feed, "STABLE", 0.0)
        pauses.clear()
        editor.terminate()
        eventually(lambda: pauses)
        assert pauses[0] <= 0.2


def test_channels_that_collide(database: str, editor: Editor, statements: list[str]) -> None:
    """Two installations whose names differ in case alone do not wake each other."""
    for schema in ("team", "Team"):
        migrations.upgrade(database, schema=schema)
        editor.run(SQL("SELECT {}.config_publish('talker', '{{}}')").format(Identifier(schema)))
    with (
        Client(database, model=Snapshot, document="talker", schema="team", heartbeat=FOREVER) as lower,
        Client(database, model=Snapshot, document="talker", schema="Team", heartbeat=FOREVER) as upper,
    ):
        eventually(lambda: sum("pg_listening_channels" in each for each in statements) == 2)
        statements.clear()
        for n in range(5):
            editor.run("SELECT \"Team\".config_publish('talker', jsonb_build_object('n', %s::int))", [n])
        upper.wait_for(6)
        assert lower.status().version == 1
        assert [each for each in statements if '"team"' in each] == []


def test_thundering_herd(own_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """After a restart twenty clients come back at different times, all of them."""
    with caplog.at_level(logging.ERROR):
        clients = [Client(own_server.url(TEMPLATE), heartbeat=FOREVER).start() for _ in range(20)]
        try:
            own_server.restart()
            with psycopg.connect(own_server.url(TEMPLATE), autocommit=True) as connection:
                version = Editor(connection).temperature(0.1)
                for client in clients:
                    client.wait_for(version, timeout=35)
                began = connection.execute(
                    "SELECT count(DISTINCT date_trunc('milliseconds', backend_start)) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'hotconfig%'"
                ).fetchone()
            assert began is not None
            assert began[0] > 10
        finally:
            for client in clients:
                client.close()
    assert caplog.records == []
