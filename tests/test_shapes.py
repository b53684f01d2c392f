"""Documents of the common shapes: what is published of which rows, and what is refused."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from conftest import Connect
from psycopg.sql import SQL, Identifier, Literal
from publishing import DEFAULT, SHAPE, TABLES, publish, unpublish
from sessions import document, value, version

from hotconfig.migrations import KeyValue, Rows, RowsByKey


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of two tables."""
    connection = connect()
    connection.execute(TABLES)
    return connection


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (KeyValue("settings"), {"top_k": 5, "model": "small", "limits": {"a": [1, None]}}),
        (KeyValue("tones", "type", "weight", where=DEFAULT), {"blog": 1.50, "email": 2}),
        (KeyValue("settings", where={"key": "nope"}), {}),
        (
            RowsByKey("tones", "type", ["tone", "weight"], where=DEFAULT),
            {"blog": {"tone": "calm", "weight": 1.5}, "email": {"tone": None, "weight": 2}},
        ),
        ({"t": Rows("tones", ["tone"], ["weight"])}, {"t": [{"tone": "calm"}, {"tone": None}, {"tone": "loud"}]}),
        ({"t": Rows("tones", ["tone"], where={"tone": None}, schema="public")}, {"t": [{"tone": None}]}),
        ({"t": Rows("public.tones", ["tone"], where={"type": "x"})}, {"t": []}),
        (
            RowsByKey("tones", ["is_default", "type"], ["weight"]),
            {
                "true": {"blog": {"weight": 1.5}, "email": {"weight": 2}},
                "false": {"blog": {"weight": 3}},
            },
        ),
        (
            KeyValue("tones", ("type", "is_default", "weight"), "tone", where={"type": "blog"}),
            {"blog": {"true": {"1.50": "calm"}, "false": {"3": "loud"}}},
        ),
        (KeyValue("tones", ("type", "is_default"), "tone", where={"type": "x"}), {}),
        (
            {"s": KeyValue("settings", where={"key": "top_k"}), "t": Rows("tones", ["type"], where={"weight": 3})},
            {"s": {"top_k": 5}, "t": [{"type": "blog"}]},
        ),
    ],
)
def test_shapes(owner: psycopg.Connection, shapes: Any, expected: object) -> None:
    """What is named is published, and nothing else."""
    publish(owner, shapes)
    assert document(owner, "own") == expected


def test_it_follows_its_tables(owner: psycopg.Connection) -> None:
    """An edit of what is published is a version, an edit of anything else is none and takes no lock."""
    publish(owner, {"settings": KeyValue("settings"), "tones": Rows("tones", ["type", "tone"], where=DEFAULT)})
    before = version(owner)
    owner.execute("UPDATE settings SET secret = 'x'; UPDATE tones SET used = used + 1, weight = 9")
    assert value(owner, "SELECT count(*) FROM config_dirty") == 0
    assert version(owner) == before
    owner.execute("UPDATE tones SET is_default = NOT is_default")
    assert document(owner, "own")["tones"] == [{"type": "blog", "tone": "loud"}]
    owner.execute("UPDATE settings SET value = '6' WHERE key = 'top_k'; TRUNCATE tones")
    assert (document(owner, "own")["settings"]["top_k"], document(owner, "own")["tones"]) == (6, [])
    assert version(owner) == before + 2


def test_a_wide_table_and_many_keys(owner: psycopg.Connection) -> None:
    """More than a function has arguments."""
    columns = [f"c{n}" for n in range(120)]
    owner.execute(f"CREATE TABLE wide ({', '.join(f'{each} int DEFAULT {n}' for n, each in enumerate(columns))})")
    owner.execute("INSERT INTO wide DEFAULT VALUES")
    publish(owner, {f"k{n}": Rows("wide", columns) for n in range(101)})
    expected = [{each: n for n, each in enumerate(columns)}]
    assert document(owner, "own") == {f"k{n}": expected for n in range(101)}


def test_rows_that_are_equal_for_their_order(owner: psycopg.Connection) -> None:
    """The document does not depend on where the rows lie, and a json column may be part of them."""
    owner.execute("CREATE TABLE steps (place int, data json, used int)")
    owner.execute("INSERT INTO steps VALUES (1, '{\"b\": 1}'), (1, '{\"a\": 1}'), (0, '{\"c\": 1}')")
    publish(owner, {"steps": Rows("steps", ["data"], ["place"])})
    expected = [{"data": {key: 1}} for key in "cab"]
    assert document(owner, "own")["steps"] == expected
    before = version(owner)
    owner.execute("""UPDATE steps SET used = 1 WHERE data::text = '{"b": 1}'; SELECT config_touch()""")
    assert (document(owner, "own")["steps"], version(owner)) == (expected, before)


def test_what_inherits_is_another_table(owner: psycopg.Connection) -> None:
    """Its rows, whose edits nobody would hear of, are not published."""
    owner.execute("CREATE TABLE more () INHERITS (settings); INSERT INTO more VALUES ('x', '1')")
    publish(owner, KeyValue("settings", where={"key": "x"}))
    assert document(owner, "own") == {}


def test_a_table_named_twice(owner: psycopg.Connection) -> None:
    """With its schema and without: it is watched once, for what either reads."""
    publish(owner, {"a": KeyValue("settings"), "b": Rows("settings", ["secret"], schema="public")})
    assert document(owner, "own")["b"] == [{"secret": "hush"}] * 3


def test_publishing_the_same_again(owner: psycopg.Connection, connect: Connect) -> None:
    """It does nothing, and waits for nobody who reads the table."""
    publish(owner, KeyValue("settings"))
    reader = connect(autocommit=False)
    reader.execute("SELECT FROM settings")
    before = version(owner)
    owner.execute("SET lock_timeout = '1ms'")
    publish(owner, KeyValue("settings"))
    assert version(owner) == before


def test_publishing_again_replaces_it(owner: psycopg.Connection) -> None:
    """Whatever it was made of: tables that it is no longer made of cost nothing any more."""
    publish(owner, {"settings": KeyValue("settings"), "tones": Rows("tones", ["tone"])})
    publish(owner, {"tones": Rows("tones", ["type"], where=DEFAULT)})
    assert document(owner, "own") == {"tones": [{"type": "blog"}, {"type": "email"}]}
    before = version(owner)
    owner.execute("UPDATE settings SET value = '0'; UPDATE tones SET tone = 'x'")
    assert version(owner) == before
    owner.execute("UPDATE tones SET type = upper(type)")
    assert document(owner, "own") == {"tones": [{"type": "BLOG"}, {"type": "EMAIL"}]}


def test_unpublishing(owner: psycopg.Connection) -> None:
    """The document stays as it is; the function and the triggers are gone; twice does nothing."""
    publish(owner, KeyValue("settings"))
    unpublish(owner)
    owner.execute("DELETE FROM settings")
    assert document(owner, "own")["top_k"] == 5
    assert value(owner, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'settings'::regclass") == 0
    assert value(owner, SHAPE) == 0
    unpublish(owner)
    assert document(owner, "own")["top_k"] == 5


@pytest.mark.parametrize(
    "setting", ["timezone = 'Asia/Tokyo'", "intervalstyle = 'iso_8601'", "extra_float_digits = -9"]
)
def test_the_same_document_whoever_edits(owner: psycopg.Connection, setting: str) -> None:
    """Settings of the session that edits change nothing of what is published."""
    owner.execute("""
        CREATE TABLE odd (key text, at timestamptz, took interval, x float8, data bytea, tags text[], id uuid);
        INSERT INTO odd VALUES ('a', '2026-03-01 12:00+00', '1 day 2:03', 0.1::float8 + 0.2, '\\xff', '{b,c}',
                                '00000000-0000-0000-0000-000000000001');
    """)
    publish(owner, RowsByKey("odd", "key", ["at", "took", "x", "data", "tags", "id"]))
    expected = {
        "at": "2026-03-01T12:00:00+00:00",
        "took": "1 day 02:03:00",
        "x": 0.30000000000000004,
        "data": "\\xff",
        "tags": ["b", "c"],
        "id": "00000000-0000-0000-0000-000000000001",
    }
    assert document(owner, "own") == {"a": expected}
    before = version(owner)
    owner.execute(f"SET {setting}")
    owner.execute("UPDATE odd SET key = key || ''; SELECT config_touch()")
    assert version(owner) == before
    owner.execute("UPDATE odd SET key = 'b'")
    assert document(owner, "own") == {"b": expected}


@pytest.mark.parametrize("schema", ["public", 'My "app"'])
@pytest.mark.parametrize("name", ['The "table"', "100% :a $1 \\ ' ü {x}", "a.b"])
def test_odd_names(owner: psycopg.Connection, schema: str, name: str) -> None:
    """Of schema, table, columns, keys, values and document alike."""
    owner.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
    table, column = Identifier(schema, name), Identifier(name)
    owner.execute(SQL("CREATE TABLE {} ({} text)").format(table, column))
    owner.execute(SQL("INSERT INTO {} VALUES ({})").format(table, Literal(name)))
    publish(owner, {name: RowsByKey(name, name, [name], where={name: name}, schema=schema)}, name)
    assert document(owner, name) == {name: {name: {name: name}}}
    unpublish(owner, name)
    publish(owner, {name: Rows(name, [name], where={name: name}, schema=schema)}, name)
    assert document(owner, name) == {name: [{name: name}]}
    owner.execute(SQL("DELETE FROM {}").format(table))
    assert document(owner, name) == {name: []}


def test_a_composite_key(owner: psycopg.Connection) -> None:
    """A table whose primary key has several columns is a list, in the order that is asked for."""
    owner.execute("CREATE TABLE grid (x int, y int, v text, PRIMARY KEY (x, y))")
    owner.execute("INSERT INTO grid SELECT x, y, x::text || y FROM generate_series(1, 2) x, generate_series(1, 2) y")
    publish(owner, {"grid": Rows("grid", ["v"], ["y", "x"])})
    assert [each["v"] for each in document(owner, "own")["grid"]] == ["11", "21", "12", "22"]
    owner.execute("UPDATE grid SET x = -x WHERE y = 1")
    assert [each["v"] for each in document(owner, "own")["grid"]] == ["21", "11", "12", "22"]


def test_an_application_role_of_its_own(owner: psycopg.Connection, connect: Connect, role: str) -> None:
    """A role that owns its tables and is a member of hotconfig's owner publishes them; an editor of them edits."""
    owner.execute(f"GRANT hotconfig_owner TO {role}; GRANT CREATE ON SCHEMA public TO {role}")
    application = connect(user=role)
    application.execute("CREATE TABLE mine (key text, value text); INSERT INTO mine VALUES ('a', 'b')")
    publish(application, KeyValue("mine"))
    assert document(application, "own") == {"a": "b"}
    application.execute("UPDATE mine SET value = 'c'")
    assert document(application, "own") == {"a": "c"}


def test_the_history_has_the_keys_as_domains(owner: psycopg.Connection) -> None:
    publish(owner, {"settings": KeyValue("settings"), "tones": Rows("tones", ["tone"])})
    owner.execute("UPDATE settings SET value = '7' WHERE key = 'top_k'")
    (row,) = owner.execute("SELECT document, domain, changes FROM config_history ORDER BY id DESC LIMIT 1").fetchall()
    assert row == ("own", "settings", {"top_k": {"old": 5, "new": 7}})
