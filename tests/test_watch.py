"""Watching tables: what changes there publishes the documents that are made of them."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from conftest import Connect
from psycopg import errors
from psycopg.sql import SQL, Identifier
from sessions import document, value, version
from watching import TEMPLATES, engine, templates, unwatch, watch

from hotconfig.migrations import watch_table


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session with a table of templates, not watched yet, and the function that makes a document of it."""
    connection = connect()
    connection.execute(TEMPLATES)
    return connection


def test_a_watched_table(owner: psycopg.Connection) -> None:
    """Watching publishes the document; so do insert, update, delete and truncate then, but not an update of nothing."""
    watch(owner)
    assert templates(owner) == {"1": "one"}
    before = version(owner)
    for statement, now in (
        ("INSERT INTO templates VALUES (2, 'two')", {"1": "one", "2": "two"}),
        ("UPDATE templates SET text = 'zwei' WHERE id = 2", {"1": "one", "2": "zwei"}),
        ("UPDATE templates SET text = text", {"1": "one", "2": "zwei"}),
        ("DELETE FROM templates WHERE id = 1", {"2": "zwei"}),
        ("TRUNCATE templates", {}),
        ("COPY templates FROM PROGRAM 'printf 3,three,0' (FORMAT csv)", {"3": "three"}),
    ):
        owner.execute(statement)
        assert templates(owner) == now
    assert version(owner) == before + 5


def test_several_tables_make_one_document(owner: psycopg.Connection) -> None:
    """A transaction over both is one version; they must share the function."""
    owner.execute("CREATE TABLE words (word text)")
    owner.execute("""
        CREATE FUNCTION counts() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$ SELECT jsonb_build_object('templates', (SELECT count(*) FROM templates),
                                     'words', (SELECT count(*) FROM words)) $$
    """)
    watch(owner, function="counts")
    watch(owner, "words", function="counts")
    before = version(owner)
    with owner.transaction():
        owner.execute("INSERT INTO words VALUES ('a')")
        owner.execute("INSERT INTO templates VALUES (2, 'two')")

    assert document(owner, "own") == {"templates": 2, "words": 1}
    assert version(owner) == before + 1
    owner.execute("CREATE TABLE more ()")
    with pytest.raises(sa.exc.DBAPIError, match=r'document "own" is already built by public.counts\(\)'):
        watch(owner, "more")


def test_one_table_makes_several_documents(owner: psycopg.Connection) -> None:
    """Each with its function and its columns; to stop one leaves the other."""
    owner.execute("""
        CREATE FUNCTION used() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ SELECT jsonb_build_object('templates', sum(used)) FROM templates $$
    """)
    watch(owner, columns=["text"])
    watch(owner, publishes="other", function="used", columns=["used"])
    owner.execute("UPDATE templates SET used = 5, text = 'x'")
    assert (templates(owner), templates(owner, "other")) == ({"1": "x"}, 5)

    unwatch(owner)
    owner.execute("UPDATE templates SET used = 6, text = 'y'")
    assert (templates(owner), templates(owner, "other")) == ({"1": "x"}, 6)


def test_columns(owner: psycopg.Connection) -> None:
    """An update of others marks nothing; one of these does, to NULL and from NULL as well."""
    owner.execute('ALTER TABLE templates ALTER text DROP NOT NULL, ADD "Odd ""name" int, ADD data json')
    watch(owner, columns=["text", 'Odd "name', "data"])
    for statement, marked in (
        ("UPDATE templates SET used = used + 1", False),
        ("UPDATE templates SET text = 'x', used = 1", True),
        ("UPDATE templates SET text = NULL", True),
        ("UPDATE templates SET text = NULL", False),
        ("UPDATE templates SET text = 'y'", True),
        ('UPDATE templates SET "Odd ""name" = 1', True),
        ("UPDATE templates SET data = '[1]'", True),
        ("UPDATE templates SET data = '[1]'", False),
        ("UPDATE templates SET id = id + 1", False),
    ):
        with owner.transaction():
            owner.execute(statement)
            assert value(owner, "SELECT EXISTS (SELECT FROM config_dirty)") is marked, statement


def test_a_json_column(owner: psycopg.Connection) -> None:
    """json has no equality; a table with such a column can be watched all the same."""
    owner.execute("ALTER TABLE templates ADD data json DEFAULT '{}'")
    watch(owner)
    before = version(owner)

    owner.execute("UPDATE templates SET data = '{}'")
    owner.execute("UPDATE templates SET text = 'x'")

    assert version(owner) == before + 1
    assert templates(owner) == {"1": "x"}


@pytest.mark.parametrize("schema", ["public", 'My "app"'])
@pytest.mark.parametrize("name", ['The "table"', "100% :a $1 \\ ' ü"])
def test_odd_names(owner: psycopg.Connection, schema: str, name: str) -> None:
    """Of schema, table, function and document alike."""
    owner.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
    owner.execute(SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(Identifier(schema)))
    table = Identifier(schema, name)
    owner.execute(SQL("CREATE TABLE {} AS SELECT 1 AS n").format(table))
    owner.execute(
        SQL("""
            CREATE FUNCTION {}() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
            AS $$ SELECT jsonb_build_object('n', sum(n)) FROM {} $$
        """).format(table, table)
    )
    watch(owner, name, publishes=name, function=f"{schema}.{name}", table_schema=schema)

    owner.execute(SQL("UPDATE {} SET n = 2").format(table))
    assert document(owner, name) == {"n": 2}
    assert owner.execute(
        'SELECT schema, "table", document FROM config_sources WHERE document = %s', [name]
    ).fetchall() == [(schema, name, name)]

    unwatch(owner, name, publishes=name, table_schema=schema)
    owner.execute(SQL("UPDATE {} SET n = 3").format(table))
    assert document(owner, name) == {"n": 2}


WRONG = [
    ({"table": "nope"}, 'relation "nope" does not exist'),
    ({"table_schema": "nope"}, '(schema "nope"|relation "nope.templates") does not exist'),
    ({"columns": ["nope"]}, "column old.nope does not exist"),
    ({"columns": []}, "columns is empty"),
    ({"function": "nope"}, "function .*nope.* does not exist"),
    ({"function": "a_text"}, r"a_text\(\) must take no arguments and return jsonb"),
    ({"function": "a_set"}, r"a_set\(\) must take no arguments and return jsonb"),
    ({"table": "a_view"}, "a_view is not an ordinary table"),
    ({"table": "a_partitioned"}, "a_partitioned is not an ordinary table"),
    ({"table": "a_temporary"}, "a_temporary is not an ordinary table"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments(owner: psycopg.Connection, arguments: dict[str, object], message: str) -> None:
    """Each is told what is wrong with it, and nothing is left behind."""
    owner.execute("""
        CREATE VIEW a_view AS SELECT 1;
        CREATE TABLE a_partitioned (id int) PARTITION BY RANGE (id);
        CREATE FUNCTION a_text() RETURNS text LANGUAGE sql AS 'SELECT NULL';
        CREATE FUNCTION a_set() RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
    """)
    given = {"table": "templates", "publishes": "own", "function": "templates_document", **arguments}
    with engine(owner).begin() as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE a_temporary ()"))
        with pytest.raises(sa.exc.DBAPIError, match=message), connection.begin_nested():
            watch_table(connection, **given)  # type: ignore[arg-type]

    assert value(owner, "SELECT count(*) FROM config_sources WHERE document = 'own'") == 0


def test_watching_twice(owner: psycopg.Connection) -> None:
    """It is refused with what to do; after unwatch other columns can be named."""
    watch(owner)
    with pytest.raises(sa.exc.DBAPIError, match='templates is already watched for document "own"'):
        watch(owner, columns=["text"])
    unwatch(owner)
    watch(owner, columns=["text"])


def test_unwatching(owner: psycopg.Connection) -> None:
    """The document stays as it was; it can then be published directly, which is refused before."""
    watch(owner)
    with pytest.raises(errors.ObjectInUse, match='document "own" is built from its tables'):
        owner.execute("SELECT config_publish('own', '{}')")
    unwatch(owner)
    owner.execute("UPDATE templates SET text = 'x'")
    assert templates(owner) == {"1": "one"}

    owner.execute("SELECT config_publish('own', '{\"templates\": 1}')")
    assert templates(owner) == 1
    unwatch(owner)  # as a migration's way back does, whatever happened meanwhile
    with pytest.raises(errors.UndefinedObject, match='templates is not watched for document "own"'):
        owner.execute("SELECT config_unwatch('templates', 'own')")


def test_unwatching_behind_an_edit(owner: psycopg.Connection) -> None:
    """In one transaction: the document stays as it was published before."""
    watch(owner)
    with owner.transaction():
        owner.execute("UPDATE templates SET text = 'x'")
        owner.execute("SELECT config_unwatch('templates', 'own')")

    assert templates(owner) == {"1": "one"}


def test_a_watched_table_that_is_renamed(owner: psycopg.Connection) -> None:
    """It stays watched, and can be unwatched under its new name."""
    watch(owner)
    owner.execute("ALTER TABLE templates RENAME TO models")
    owner.execute(
        "CREATE OR REPLACE FUNCTION templates_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER"
        " SET search_path = public, pg_temp AS $$ SELECT jsonb_build_object('templates', count(*)) FROM models $$"
    )
    owner.execute("UPDATE models SET text = 'x'")
    assert templates(owner) == 1

    unwatch(owner, "models")

    assert value(owner, "SELECT count(*) FROM config_sources WHERE document = 'own'") == 0
    owner.execute("DELETE FROM models")
    assert templates(owner) == 1


def test_a_table_that_was_dropped_sets_its_document_free(connect: Connect) -> None:
    """Its row in config_sources stays, but neither config_publish() nor config_touch() minds."""
    editor = connect()
    editor.execute("CREATE TABLE gone (value int)")
    editor.execute("""
        CREATE FUNCTION gone_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ SELECT jsonb_build_object('rows', (SELECT count(*) FROM gone)) $$
    """)
    editor.execute("SELECT config_watch('gone', 'own', 'gone_document()')")
    editor.execute("DROP TABLE gone")
    editor.execute("DROP FUNCTION gone_document")

    editor.execute("SELECT config_touch()")
    editor.execute("SELECT config_publish('own', '{\"a\": 1}')")

    assert editor.execute("SELECT document FROM config_documents WHERE name = 'own'").fetchone() == ({"a": 1},)
