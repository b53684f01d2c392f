"""Documents of the common shapes: what is refused, to whom, and in which words."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from conftest import Connect
from psycopg import errors
from publishing import DEFAULT, SHAPE, TABLES, publish, unpublish
from sessions import document, value

from hotconfig.migrations import KeyValue, Rows, RowsByKey


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of two tables."""
    connection = connect()
    connection.execute(TABLES)
    return connection


def test_two_values_for_a_key(owner: psycopg.Connection) -> None:
    """They are refused with the document and the column, when it is published and when it is edited."""
    with pytest.raises(sa.exc.DBAPIError, match=r'document "own".*: the type "blog" of tones comes twice'):
        publish(owner, RowsByKey("tones", "type", ["tone"]))
    publish(owner, RowsByKey("tones", "type", ["tone"], where=DEFAULT))
    with pytest.raises(errors.UniqueViolation, match=r'document "own".*: the type "blog" of tones comes twice'):
        owner.execute("UPDATE tones SET is_default = true")
    assert document(owner, "own")["blog"] == {"tone": "calm"}


def test_two_values_for_a_key_of_several_columns(owner: psycopg.Connection) -> None:
    """They are refused with all the columns; so is one that is NULL."""
    publish(owner, KeyValue("tones", ("type", "is_default"), "tone"))
    with pytest.raises(errors.UniqueViolation, match=r'the type and is_default "blog, true" of tones comes twice'):
        owner.execute("UPDATE tones SET is_default = true")
    with pytest.raises(errors.UniqueViolation, match="a type and is_default of tones is NULL"):
        owner.execute("UPDATE tones SET is_default = NULL WHERE tone = 'loud'")
    assert document(owner, "own") == {"blog": {"true": "calm", "false": "loud"}, "email": {"true": None}}


def test_a_key_that_is_null(owner: psycopg.Connection) -> None:
    """It is refused as such, and not as something about the search_path."""
    owner.execute("CREATE TABLE loose (key text, value text)")
    publish(owner, KeyValue("loose"))
    for keys in ("(NULL)", "(NULL), (NULL)", "('a'), (NULL)"):
        with pytest.raises(errors.UniqueViolation, match=r'document "own".*: a key of loose is NULL'):
            owner.execute(f"INSERT INTO loose (key) VALUES {keys}")
    assert document(owner, "own") == {}


def test_a_function_of_somebody_else_s(owner: psycopg.Connection) -> None:
    """One with a name like the document's is left alone, and so are documents with long names that begin alike."""
    owner.execute("CREATE FUNCTION own_document() RETURNS jsonb LANGUAGE sql RETURN '{}'::jsonb")
    publish(owner, KeyValue("settings"))
    for name in ("n" * 63 + "a", "n" * 63 + "b"):
        publish(owner, {name: KeyValue("settings")}, name)
    assert [*document(owner, "n" * 63 + "a")] == ["n" * 63 + "a"]
    unpublish(owner)
    assert value(owner, "SELECT own_document()") == {}


@pytest.mark.parametrize("gone", ["DROP TABLE tones CASCADE", "ALTER TABLE tones DROP COLUMN tone CASCADE"])
def test_a_table_that_is_dropped_all_the_same(owner: psycopg.Connection, gone: str) -> None:
    """Its document's function goes with it: edits of the other tables are refused with the way out, which works."""
    shapes = {"settings": KeyValue("settings"), "tones": Rows("tones", ["tone"])}
    publish(owner, shapes)
    owner.execute(gone.encode())
    with pytest.raises(errors.UndefinedFunction, match=r'document "own": .*: it does not exist') as refused:
        owner.execute("DELETE FROM settings")
    way_out = re.search(r"SELECT \S+\(.*?\)", refused.value.diag.message_hint or "")
    assert way_out
    owner.execute(way_out.group().encode())
    owner.execute("DELETE FROM settings")
    assert document(owner, "own")["settings"]["top_k"] == 5
    unpublish(owner)
    publish(owner, {"settings": KeyValue("settings")})
    assert document(owner, "own") == {"settings": {}}


def test_a_published_column_is_not_dropped(owner: psycopg.Connection) -> None:
    """PostgreSQL refuses it where it is tried, and not the next edit at night; a renamed one is published on."""
    publish(owner, RowsByKey("tones", "type", ["tone"], where=DEFAULT))
    with pytest.raises(errors.DependentObjectsStillExist, match=r"other objects depend on it"):
        owner.execute("ALTER TABLE tones DROP COLUMN tone")
    owner.execute("ALTER TABLE tones RENAME COLUMN tone TO voice")
    owner.execute("UPDATE tones SET voice = 'x' WHERE is_default")
    assert document(owner, "own") == {"blog": {"tone": "x"}, "email": {"tone": "x"}}


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({}, "needs a shape"),
        (Rows("tones", ["tone"]), "give it a key"),
        ({"version": KeyValue("settings")}, "reserved"),
        ({"": KeyValue("settings")}, "is no key"),
        (RowsByKey("tones", "type", []), "name the columns"),
        ({"t": Rows("tones", "tone")}, "columns='tone' is no list"),
        ({"t": Rows("tones", ["tone"], "tone")}, "order_by='tone' is no list"),
        ({"t": {"u": KeyValue("settings")}}, "is no shape"),
        (KeyValue("settings", where={"key": Decimal(1)}), "settings: where key is .*: write a text"),  # type: ignore[dict-item]
        (KeyValue("settings", where={"key": math.nan}), "write a text, a number"),
    ],
)
def test_what_makes_no_document(owner: psycopg.Connection, shapes: Any, complaint: str) -> None:
    """It is refused before anything is done."""
    with pytest.raises(ValueError, match=complaint):
        publish(owner, shapes)


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        (KeyValue("nope"), 'relation "nope" does not exist'),
        (KeyValue("settings", "nope"), 'public.settings has no column "nope"'),
        (KeyValue("settings", where={"nope": 1}), 'public.settings has no column "nope"'),
        (KeyValue("settings", where={"key": 1.5}), "operator does not exist|OPERATOR"),
    ],
)
def test_what_is_not_there(owner: psycopg.Connection, shapes: Any, complaint: str) -> None:
    """It is said what; nothing is left behind."""
    with pytest.raises(sa.exc.DBAPIError, match=complaint):
        publish(owner, shapes)
    assert value(owner, SHAPE) == 0


def test_it_is_read_by_readers_alone(owner: psycopg.Connection, connect: Connect, role: str) -> None:
    """What the function returns is no way around the right to read the document."""
    publish(owner, KeyValue("settings"))
    name = value(owner, "SELECT config_shape_name('own')")
    with pytest.raises(errors.InsufficientPrivilege, match=name):
        connect(user=role).execute(f"SELECT {name}()")
    owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO {role}")  # as some hosts have it
    publish(owner, {"settings": KeyValue("settings")})
    with pytest.raises(errors.InsufficientPrivilege, match=name):
        connect(user=role).execute(f"SELECT {name}()")
    owner.execute(f"ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM {role}")
