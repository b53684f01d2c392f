"""The listener on its one connection: no edit is lost, nothing is asked too often. Faults of the link are elsewhere."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from conftest import Connect
from editing import FOREVER, Editor, eventually
from feeds import Where
from hooks import ACKNOWLEDGE, LISTEN, LOOK, Hooks
from psycopg.sql import SQL, Identifier

from hotconfig import Client, Snapshot, _feed
from hotconfig._wire import Refused, Row, Wire


@pytest.mark.parametrize(
    ("when", "statement"),
    [
        ("before", LISTEN),
        ("after", LISTEN),
        ("before", LOOK),
        ("after", LOOK),
        ("before", ACKNOWLEDGE),
        ("after", ACKNOWLEDGE),
    ],
)
@pytest.mark.parametrize("running", [False, True])
def test_no_moment_loses_an_edit(
    client: Client, editor: Editor, hooks: Hooks, *, running: bool, when: str, statement: str
) -> None:
    """An edit that is committed just before or after any statement of the listener arrives, without another one.

    Its notification may come before LISTEN, or be read off the socket with the answer to another statement.
    """
    committed = threading.Event()

    def edit(wire: Wire, statement: str) -> None:
        editor.temperature(0.25)
        committed.set()

    if running:
        client.start()
        editor.settled()
    getattr(hooks, when)[statement] = edit
    if running and statement == LISTEN:
        editor.terminate()
    elif running:
        editor.temperature(0.5)
    client.start()

    assert committed.wait(timeout=20)
    assert client.wait_for(editor.version(), timeout=20).ai_infra.llm_temperature == 0.25


def test_starts_beside_a_busy_writer_converge(where: Where, connect: Connect) -> None:
    """Each of 60 clients that start while somebody edits ends with the last edit, though no heartbeat comes."""
    editor, url = Editor(connect()), where.url
    for _ in range(60):
        barrier = threading.Barrier(2)

        def edit(barrier: threading.Barrier = barrier) -> int:
            barrier.wait(timeout=10)
            for _ in range(random.randint(1, 6)):
                editor.tokens(random.randint(1, 1_000_000))
            return editor.version()

        with ThreadPoolExecutor(1) as pool:
            edited = pool.submit(edit)
            barrier.wait(timeout=10)
            with Client(url, heartbeat=FOREVER) as client:
                version = edited.result(timeout=10)
                snapshot = client.wait_for(version, timeout=20)
        assert snapshot.version == version
        assert snapshot.ai_infra.llm_max_tokens == editor.ask("SELECT llm_max_tokens FROM config_ai_infra")


def test_a_server_that_refuses_to_listen(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded serves on, stale until it does: that a look succeeds does not say that all is well."""
    refused: list[str] = []
    query = Wire.query
    monkeypatch.setattr(_feed, "FIRST", 0.01)
    monkeypatch.setattr(_feed, "GROWTH", 1.0)

    def refusing(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        if LISTEN in statement and len(refused) < 20:
            refused.append(client.status().state)
            raise Refused("53400", "no room")
        return query(wire, statement, *params, **limits)

    monkeypatch.setattr(Wire, "query", refusing)
    client.start()
    version = editor.temperature(0.1)

    client.wait_for(version)
    eventually(lambda: client.status().healthy)
    assert refused[0] in ("new", "live")
    assert refused[1:] == ["stale"] * 19
    assert client.status().reconnects == 1


class Loose(Snapshot):
    n: int = 0


@pytest.mark.parametrize("document", ["{}", '{"n": 7}', '{"n": 7, "{}": {"version": 5}}'])
def test_a_document_has_its_version(where: Where, editor: Editor, document: str) -> None:
    """Which is not in what was published."""
    version = editor.publish("own", document)
    with Client(where.url, model=Loose, document="own", heartbeat=FOREVER) as client:
        assert client.current().version == version
        editor.publish("own", '{"n": 8}')
        version = editor.publish("own", document)
        assert client.wait_for(version) == Loose(version=version, n=7 if "7" in document else 0)


@pytest.mark.parametrize("name", ["it's", "back\\slash\\", "{schema}", "$1", "ö'; SELECT 1; --", '"quoted"'])
def test_whatever_a_document_is_called(where: Where, editor: Editor, name: str) -> None:
    """It is followed, and no other one."""
    version = editor.publish(name, '{"n": 7}')
    with Client(where.url, model=Loose, document=name, heartbeat=FOREVER) as client:
        assert client.current() == Loose(version=version, n=7)
        version = editor.publish(name, '{"n": 8}')
        assert client.wait_for(version) == Loose(version=version, n=8)


def test_a_backslash_where_it_escapes(database: str, database_name: str, editor: Editor) -> None:
    """As in a database that is set to what PostgreSQL did before 9.1."""
    editor.run(SQL("ALTER DATABASE {} SET standard_conforming_strings = off").format(Identifier(database_name)))
    version = editor.publish("a\\' OR true --", '{"n": 7}')
    with Client(database, model=Loose, document="a\\' OR true --", heartbeat=FOREVER) as client:
        assert client.current() == Loose(version=version, n=7)


def test_a_heartbeat_is_one_statement(database: str, statements: list[str]) -> None:
    """When nothing happens the one statement is the look."""
    with Client(database, heartbeat=0.02):
        eventually(lambda: len(statements) > 5)
        statements.clear()
        eventually(lambda: len(statements) > 10)
    assert {"config_state" in each and "pg_listening_channels" in each for each in statements} == {True}


def test_a_change_is_two_statements(client: Client, editor: Editor, statements: list[str]) -> None:
    """The look that brings it, and the acknowledgement, also for a change of another document."""
    client.start()
    editor.settled()
    for version in (1, 2, 3):
        statements.clear()
        newest = editor.temperature(version / 10) if version < 3 else editor.publish("talker", "{}")
        eventually(partial(editor.acknowledged, newest))
        assert ["config_state" in each for each in statements] == [True, False]


def test_a_heartbeat_finds_what_was_not_announced(database: str, editor: Editor) -> None:
    """A version that came without a notification is found at the next heartbeat."""
    with Client(database, heartbeat=0.1) as client:
        editor.run("""
            WITH next AS (UPDATE config_state SET version = version + 1, token = gen_random_uuid() RETURNING *)
            UPDATE config_documents d SET version = next.version, token = next.token,
                document = jsonb_set(document, '{ai_infra,llm_temperature}', '0.11') FROM next
        """)

        assert client.wait_for(editor.version()).ai_infra.llm_temperature == 0.11
        assert client.status().rewinds == client.status().reconnects == 0
