"""adopt: a table that exists becomes hot, by the migration or the SQL that it prints."""

from __future__ import annotations

import psycopg
import pytest
from autogenerating import run_function
from commands import out, printed, refused
from conftest import Connect, Psql
from editing import FOREVER, eventually
from psycopg.sql import SQL, Identifier
from publishing import SHAPE, TABLES
from sessions import document, value
from watching import TEMPLATES

import hotconfig
from hotconfig import Client

PLACES = """
    CREATE SCHEMA app;
    CREATE TABLE app.places (x int, y int, name text, PRIMARY KEY (x, y));
    INSERT INTO app.places VALUES (1, 2, 'here');
    CREATE TABLE flags (name text PRIMARY KEY, enabled bool);
    INSERT INTO flags VALUES ('dark', true);
    CREATE TABLE workers (id serial PRIMARY KEY, name text UNIQUE, value text, api_key text);
    INSERT INTO workers (name, value, api_key) VALUES ('w', 'x', 'hush');
"""


@pytest.fixture
def owner(database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection:
    """A session of the owner of tables that hotconfig knows nothing of; the command line connects there too."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    connection = connect()
    for statements in (TABLES, TEMPLATES, PLACES):
        connection.execute(statements)
    return connection


ADOPTED = [
    (["settings"], {"top_k": 5, "model": "small", "limits": {"a": [1, None]}}),
    (["flags"], {"dark": True}),
    (["settings", "--columns", "secret"], dict.fromkeys(("top_k", "model", "limits"), "hush")),
    (["templates"], {"templates": {"1": {"text": "one", "used": 0}}}),
    (["templates", "--columns", "text, id"], {"templates": {"1": {"text": "one", "id": 1}}}),
    (["workers", "--columns", "name,value"], {"workers": {"w": {"name": "w", "value": "x"}}}),
    (["workers", "--columns", "value"], {"w": "x"}),
    (["workers", "--columns", "name,value", "--key", "id"], {"workers": {"1": {"name": "w", "value": "x"}}}),
    (["tones", "--columns", "type"], {"tones": [{"type": "blog"}, {"type": "blog"}, {"type": "email"}]}),
    (["app.places"], {"1": {"2": "here"}}),
    (["app.places", "--key", "y,x"], {"2": {"1": "here"}}),
    (["app.places", "--columns", "name, x"], {"places": {"1": {"2": {"name": "here", "x": 1}}}}),
    (["templates", "--function", "templates_document", "--columns", "text"], {"templates": {"1": "one"}}),
]


@pytest.mark.parametrize(("arguments", "expected"), ADOPTED)
def test_a_migration(owner: psycopg.Connection, arguments: list[str], expected: object) -> None:
    """Its upgrade publishes the table, its downgrade leaves the table as it was; adopting alone changes nothing."""
    migration = out("adopt", *arguments, "--publishes", "own")
    assert value(owner, "SELECT count(*) FROM config_sources WHERE document = 'own'") == 0
    run_function(owner, migration, "upgrade")
    assert document(owner, "own") == expected
    run_function(owner, migration, "downgrade")
    assert value(owner, "SELECT count(*) FROM config_sources WHERE document = 'own'") == 0
    assert value(owner, SHAPE) == 0


@pytest.mark.parametrize(("arguments", "expected"), ADOPTED)
def test_sql(owner: psycopg.Connection, psql: Psql, arguments: list[str], expected: object) -> None:
    """For teams without Alembic: psql runs it."""
    psql(out("adopt", *arguments, "--publishes", "own", "--sql"))
    assert document(owner, "own") == expected


def test_the_revision_that_it_follows(owner: psycopg.Connection) -> None:
    """The newest one of the application's own migrations, if there is one and may be read."""
    assert "down_revision = None  # the newest" in out("adopt", "flags", "--publishes", "own")
    owner.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('abc')")
    assert "down_revision = 'abc'\n" in out("adopt", "flags", "--publishes", "own")
    owner.execute("INSERT INTO alembic_version VALUES ('def')")
    assert "down_revision = None  # the newest" in out("adopt", "flags", "--publishes", "own")


def test_json(owner: psycopg.Connection) -> None:
    """One object, with the migration or the SQL."""
    told = printed("adopt", "flags", "--publishes", "own")
    assert (told["document"], told["table"]) == ("own", "flags")
    run_function(owner, told["migration"], "upgrade")
    assert document(owner, "own") == {"dark": True}
    assert "config_shape" in printed("adopt", "flags", "--publishes", "own", "--sql")["sql"]


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["setting"],
            "or it is in no schema of the search_path: name it SCHEMA.TABLE, unquoted. Did you mean 'settings'?",
        ),
        (["app.nope"], "there is no table 'app.nope'"),
        (["places"], "there is no table 'places'"),
        (["flags", "--columns", "enable"], "flags has no column 'enable': there are name, enabled"),
        (["flags", "--key", "id"], "flags has no column 'id'"),
        (["flags", "--key", "enabled"], "no unique index on enabled"),
        (["app.places", "--key", "x"], "no unique index on x"),
        (["pg_roles"], "no ordinary table"),
        (["flags", "--function", "nope"], 'no function "nope"()'),
        (["flags", "--key", "name", "--function", "f"], "leave out --key or --function"),
    ],
)
def test_misused(arguments: list[str], told: str) -> None:
    """What there is, or what is right."""
    assert told in refused(2, "adopt", *arguments, "--publishes", "own")


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("name", ["active", "profile/x", " "])
def test_a_document_that_cannot_be_called_so(name: str) -> None:
    """hotconfig's own."""
    assert "cannot be called" in refused(2, "adopt", "flags", "--publishes", name)


def test_odd_names(owner: psycopg.Connection) -> None:
    """Of table, columns and document, in the migration as in the SQL."""
    odd = 'a"""\\ \'b {x} 100% :y ü'
    table = Identifier(odd)
    owner.execute(SQL("CREATE TABLE {} ({} text PRIMARY KEY, v int)").format(table, table))
    owner.execute(SQL("INSERT INTO {} VALUES ('k', 1)").format(table))
    run_function(owner, out("adopt", odd, "--publishes", odd), "upgrade")
    assert document(owner, odd) == {"k": 1}


class Flags(hotconfig.Snapshot):
    dark: bool
    limit: int = 3


@pytest.mark.usefixtures("owner")
def test_a_process_follows_an_adopted_table(database: str, psql: Psql) -> None:
    """An UPDATE changes what a running client serves; an invalid row is kept out, and its correction is served."""
    psql(out("adopt", "flags", "--publishes", "flags", "--sql"))
    with Client(database, model=Flags, document="flags", heartbeat=FOREVER) as client:
        assert client.current().dark
        psql("UPDATE flags SET enabled = false")
        client.wait_for(until=lambda flags: not flags.dark)
        psql("UPDATE flags SET enabled = NULL")
        eventually(lambda: client.status().error)
        assert "dark: Input should be a valid boolean" in str(client.status().error)
        assert not client.current().dark
        psql("UPDATE flags SET enabled = true")
        client.wait_for(until=lambda flags: flags.dark)
        assert client.status().healthy
