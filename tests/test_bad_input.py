"""What cannot work says so at the start, in the caller's thread, with the next step; what breaks later never raises."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from editing import Editor, eventually
from psycopg.sql import SQL, Identifier
from servers import PASSWORD, Server

import hotconfig
from hotconfig import (
    Client,
    HotConfigError,
    InvalidConfig,
    NoDefaultProfile,
    NoSuchDocument,
    NoSuchProfile,
    NotMigrated,
    Snapshot,
    Unavailable,
)


class Own(Snapshot):
    n: int


@pytest.fixture
def stranger(server: Server, database_name: str) -> Iterator[str]:
    """The URL of a role that may log in and nothing else."""
    name = f"stranger_of_{database_name}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        yield server.url(database_name).replace("postgres@", f"{name}@")
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", [name])
        connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


# ---- at the constructor


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"conninfo": "mysql://x/y"}, ValueError, "no address of PostgreSQL"),
        ({"conninfo": f"postgresql://u:{PASSWORD}@x@h/d"}, ValueError, "%40"),
        ({"conninfo": 5}, TypeError, "string or a callable"),
        ({"heartbeat": 0}, ValueError, "seconds above 0"),
        ({"heartbeat": -1}, ValueError, "seconds above 0"),
        ({"heartbeat": math.nan}, ValueError, "seconds above 0"),
        ({"heartbeat": math.inf}, ValueError, "seconds above 0"),
        ({"document": "x"}, TypeError, "needs model="),
        ({"document": "x", "model": Own, "profile": "y"}, TypeError, "not both"),
        ({"document": " ", "model": Own}, ValueError, "name one"),
        ({"profile": ""}, ValueError, "name one"),
        ({"model": dict}, TypeError, "subclass of hotconfig.Snapshot"),
        ({"schema": ""}, ValueError, "schema"),
        ({"schema": "x" * 54}, ValueError, "53 bytes"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    """They are refused where they are given, before anything connects."""
    with pytest.raises(error, match=says) as raised:
        Client(**arguments)
    assert PASSWORD + "@" not in str(raised.value)


def test_a_mutable_model_is_refused() -> None:
    """When the class is defined: with what to write instead."""
    with pytest.raises(TypeError, match=r"tuple\[X, \.\.\.\]"):

        class Mutable(Snapshot):
            items: list[str]


# ---- at the start


@pytest.mark.parametrize(
    ("conninfo", "says"),
    [
        ("postgresql://127.0.0.1:1/x", r"refused.*Next: check that the server runs"),
        ("host=/nonexistent dbname=x", r"No such file.*Next: check that the server runs"),
        ("host=a,b,c port=1,2 dbname=x", r"2 port numbers to 3 hosts.*Next: give one port"),
        ("host=127.0.0.1 port=1 connect_timeout=soon", r"'soon'.*Next: write it in whole seconds"),
        ("postgresql://nosuchhost.invalid/x", r"Next: correct the host"),
    ],
)
def test_a_server_that_is_not_there(conninfo: str, says: str, caplog: pytest.LogCaptureFixture) -> None:
    """Unavailable, with what libpq said; the log stays empty, since the caller has the error."""
    with pytest.raises(Unavailable, match=says):
        Client(conninfo).start(timeout=5)
    assert caplog.text == ""


def test_a_callable_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """It is named, with the type of its exception and without its text."""

    def vault() -> str:
        raise OSError("the secret")

    with pytest.raises(Unavailable, match=r"vault\(\).* raised OSError") as raised:
        Client(vault).start()
    assert "the secret" not in str(raised.value) + caplog.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.replace(PASSWORD + "@", "Wr0ng@"), "Next: check the user and the password"),
        (lambda url: url.replace("//postgres:", "//nobody:"), "Next: check the user"),
        (lambda url: url + "_not", 'database "test_.*_not" does not exist.*Next: create the database'),
    ],
)
def test_a_server_that_refuses(server: Server, database_name: str, change: Callable[[str], str], says: str) -> None:
    """Password, user and database are told apart, and the password is nowhere."""
    url = change(server.tcp_url(database_name))
    client = Client(url)

    with pytest.raises(Unavailable, match=says) as raised:
        client.start()

    shown = (
        f"{raised.value} {raised.value!r} {raised.value.__cause__} {client!r} {client.status()!r} {client._settings!r}"
    )
    assert "Wr0ng" not in shown
    assert f":{PASSWORD}@" not in shown


def test_a_role_without_privileges(stranger: str) -> None:
    """The server's refusal, and the GRANT that mends it, in whatever language the server speaks."""
    with pytest.raises(Unavailable, match=r"permission denied.*Next: GRANT hotconfig_reader TO"):
        Client(stranger).start()


def test_a_database_without_tables(server: Server, database_name: str) -> None:
    """NotMigrated names the command, and the schema that was looked into."""
    with pytest.raises(NotMigrated, match=r"schema 'public'.*hotconfig migrate"):
        Client(server.url()).start()
    with pytest.raises(NotMigrated, match="schema 'elsewhere'"):
        Client(server.url(database_name), schema="elsewhere").start()


def test_an_empty_state_table(database: str, editor: Editor) -> None:
    """A restore that lost the one row is said in these words."""
    editor.run("DELETE FROM config_state")

    with pytest.raises(Unavailable, match="config_state is empty"):
        Client(database).start()


def test_what_is_not_published(database: str, editor: Editor) -> None:
    """A profile, the default profile and a document are told apart."""
    with pytest.raises(NoSuchProfile, match="no profile 'x'") as missing:
        Client(database, profile="x").start()
    assert not isinstance(missing.value, NoDefaultProfile)
    with pytest.raises(NoSuchDocument, match="no document 'own'") as unknown:
        Client(database, document="own", model=Own).start()
    assert not isinstance(unknown.value, NoSuchProfile)
    editor.run("UPDATE config_profiles SET is_default = false")
    with pytest.raises(NoDefaultProfile, match="hotconfig init"):
        Client(database).start()


def test_a_document_that_does_not_validate(database: str, editor: Editor, caplog: pytest.LogCaptureFixture) -> None:
    """InvalidConfig names field and rule, never the value; the log stays empty."""
    editor.publish("own", '{"n": "the secret"}')

    with pytest.raises(InvalidConfig, match="n: Input should be a valid integer") as raised:
        Client(database, document="own", model=Own).start()

    assert "the secret" not in f"{raised.value!r} {raised.value.__cause__} {caplog.text}"


def test_a_malformed_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, and not what is in it."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@w0rd@h/d")

    with pytest.raises(ValueError, match="DATABASE_URL") as raised:
        Client().start()
    assert "w0rd" not in str(raised.value)


def test_nobody_said_where() -> None:
    """The default address is tried, and the error says why it was."""
    with pytest.raises(HotConfigError, match="neither HOTCONFIG_DATABASE_URL nor DATABASE_URL is set"):
        hotconfig.Client().start(timeout=5)


# ---- later


BREAKS = [
    ("ALTER TABLE config_documents RENAME TO gone", NotMigrated, "ALTER TABLE gone RENAME TO config_documents"),
    ("ALTER SCHEMA public RENAME TO gone", NotMigrated, "ALTER SCHEMA gone RENAME TO public"),
    ("DROP TABLE config_state", NotMigrated, "ALTER TABLE state RENAME TO config_state"),
    ("DELETE FROM config_state", Unavailable, "INSERT INTO config_state TABLE state"),
    ("REVOKE hotconfig_reader FROM {}", Unavailable, "GRANT hotconfig_reader TO {}"),
    ("ALTER ROLE {} NOLOGIN", Unavailable, "ALTER ROLE {} LOGIN"),
]


@pytest.mark.parametrize(("breaks", "error", "mends"), BREAKS)
def test_what_breaks_later_never_raises(
    stranger: str,
    database_name: str,
    editor: Editor,
    caplog: pytest.LogCaptureFixture,
    *,
    breaks: LiteralString,
    error: type[HotConfigError],
    mends: LiteralString,
) -> None:
    """current() serves the last snapshot, status() says what is wrong, and the client recovers by itself."""
    role = Identifier(f"stranger_of_{database_name}")
    editor.run(SQL("GRANT hotconfig_reader TO {}").format(role))
    editor.run("CREATE TABLE state AS TABLE config_state; GRANT SELECT ON state TO public")
    with Client(stranger, heartbeat=0.05) as client, caplog.at_level(logging.WARNING):
        last = client.current()

        editor.run(SQL(breaks).format(role))
        editor.terminate()

        eventually(lambda: isinstance(client.status().error, error))
        assert client.status().state == "stale"
        assert not client.status().healthy
        assert client.current() is last
        assert len(caplog.records) == 1
        editor.run(SQL(mends).format(role))
        eventually(lambda: client.status().healthy)
        assert client.current().version == last.version


def test_the_server_goes_and_comes_back(own_server: Server) -> None:
    """The whole server: stopped, the snapshot serves; started again, the client is live."""
    with Client(own_server.url("hotconfig_template"), heartbeat=0.1) as client:
        last = client.current()

        own_server.stop()
        eventually(lambda: client.status().state == "stale")
        assert isinstance(client.status().error, Unavailable)
        assert client.current() is last

        own_server.start()
        own_server.psql("hotconfig_template", "UPDATE config_ai_infra SET llm_temperature = 0.3")
        eventually(lambda: client.current().ai_infra.llm_temperature == 0.3, timeout=40)
        assert client.status().healthy
