"""What the listener does about a server that changes under it: back-off, steps back, passwords, other hosts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest
from editing import FOREVER, Editor, eventually
from psycopg.sql import SQL, Identifier, Literal
from servers import Server

from hotconfig import Change, Client, Unavailable, _feed
from hotconfig._wire import Wire

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


@pytest.fixture
def role(server: Server, database_name: str) -> Iterator[str]:
    """A reader with the password `first`; roles belong to the whole server."""
    name = f"reader_of_{database_name}"
    with psycopg.connect(server.url(database_name), autocommit=True) as connection:
        connection.execute(
            SQL("CREATE ROLE {} LOGIN PASSWORD 'first' IN ROLE hotconfig_reader").format(Identifier(name))
        )
        yield name
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", [name])
        connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def silent() -> Iterator[str]:
    """Host and port of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        yield f"{host}:{port}"


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_step_back_is_followed_once(database: str, editor: Editor, lost: int) -> None:
    """After a failover that lost versions, the same or a lower number comes with another token and other content."""
    told: list[Change] = []
    editor.temperature(0.5)
    now = editor.temperature(0.6)
    with Client(database, heartbeat=FOREVER) as client:
        client.subscribe(told.append)
        rewind = """
            WITH next AS (UPDATE config_state SET version = version - %s, token = gen_random_uuid() RETURNING *)
            UPDATE config_documents d SET version = next.version, token = next.token,
                document = jsonb_set(document, '{ai_infra,llm_temperature}', '0.11') FROM next
        """
        editor.run(rewind, [lost])
        editor.run("NOTIFY hotconfig")

        client.wait_for(until=lambda c: c.ai_infra.llm_temperature == 0.11)
        eventually(lambda: told)
        assert client.current().version == editor.version() <= now
        editor.run("NOTIFY hotconfig")
        client.wait_for(editor.publish("talker", "{}"))
        assert client.status().rewinds == 1
        assert len(told) == 1


def test_a_step_back_of_other_documents_is_counted(database: str, editor: Editor) -> None:
    """The own document is untouched: the snapshot stays, the count says that something was lost."""
    editor.publish("talker", "{}")
    editor.publish("talker", '{"n": 1}')
    with Client(database, heartbeat=FOREVER) as client:
        before = client.current()
        editor.run("UPDATE config_state SET version = version - 1, token = gen_random_uuid()")
        editor.run("NOTIFY hotconfig")

        eventually(lambda: client.status().rewinds == 1)
        assert client.current() is before
        assert client.status().version == editor.version()


def test_a_rotated_password_is_asked_for(server: Server, database_name: str, editor: Editor, role: str) -> None:
    """The callable is asked at every connect: after a rotation the next connection has the new password."""
    password = "first"

    def conninfo() -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{server.port}/{database_name}"

    with Client(conninfo, heartbeat=FOREVER) as client:
        editor.run(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal("second")))
        editor.terminate()
        eventually(lambda: client.status().state == "stale")
        eventually(lambda: "password" in str(client.status().error))
        error = client.status().error
        assert isinstance(error, Unavailable)
        assert "first" not in str(error)
        assert client.current().profile.name == "default"

        password = "second"
        eventually(lambda: client.status().healthy)
        client.wait_for(editor.temperature(0.1))


def test_hosts_that_do_not_answer_are_passed_over(server: Server, database_name: str) -> None:
    """Of several hosts the first that is a primary is taken, within the time of one start."""
    sockets = server.sockets
    hosts = f"host=127.0.0.1,/nonexistent,{sockets} port=1,1,{server.port}"

    with Client(f"{hosts} dbname={database_name} user=postgres") as client:
        assert client.status().healthy


def test_a_host_that_is_silent_leaves_time_for_the_next(server: Server, database_name: str, silent: str) -> None:
    """A host that takes the connection and says nothing costs its share of the start, not all of it."""
    host, port = silent.split(":")
    hosts = f"host={host},{server.sockets} port={port},{server.port}"

    with Client(f"{hosts} dbname={database_name} user=postgres connect_timeout=60").start(timeout=2) as client:
        assert client.status().healthy


def test_a_silent_host_ends_the_start_in_time(silent: str) -> None:
    """start(timeout=...) is kept whatever connect_timeout says, and names what was tried."""
    with pytest.raises(Unavailable, match=r"no answer within 0\.[0-9]+ s"):
        Client(f"postgresql://{silent}/x?connect_timeout=60").start(timeout=0.3)


def test_connections_are_asked_for_one_at_a_time(
    database: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the link breaks, there is one session."""
    opened: list[Wire] = []
    connect = Wire.connect

    def noted(*args: object, **rest: object) -> Wire:
        opened.append(connect(*args, **rest))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(Wire, "connect", noted)
    monkeypatch.setattr(_feed, "STABLE", 0.0)
    with Client(database, heartbeat=FOREVER) as client:
        for lost in range(1, 6):
            editor.terminate()
            client.wait_for(editor.tokens(lost), timeout=20)
            assert client.status().reconnects == lost
            assert len(editor.readers()) == 1
    assert len(opened) == 6
