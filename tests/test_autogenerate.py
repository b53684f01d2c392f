"""Alembic's autogenerate: what a metadata declares and the database lacks is written into a migration, and back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from autogenerating import REFLECTED, SHAPES, differences, metadata, migrate, run
from conftest import Connect, Psql
from publishing import TABLES
from sessions import document, value, version
from watching import TEMPLATES, engine

from hotconfig.migrations import Function, KeyValue, RowsByKey


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of three tables and a function; none is watched."""
    connection = connect()
    connection.execute(TABLES)
    connection.execute(TEMPLATES)
    return connection


def test_nothing_is_declared(owner: psycopg.Connection) -> None:
    """hotconfig's own tables are nobody's to drop, and what is watched by hand is left alone."""
    assert differences(owner) == []
    run(owner, "op.watch_table('templates', publishes='own', function='templates_document')")
    assert differences(owner) == []


@pytest.mark.parametrize(
    "declared", [SHAPES, KeyValue("settings"), {"t": RowsByKey("tones", "type", ["tone"], where={"is_default": True})}]
)
def test_shapes(owner: psycopg.Connection, declared: Any) -> None:
    """What is declared and not there is a difference, until its migration has run; its downgrade takes it away."""
    assert differences(owner, {"own": declared}) == [("publish_document", "own")]
    downgrade = migrate(owner, {"own": declared})
    assert differences(owner, {"own": declared}) == []
    owner.execute("UPDATE settings SET value = '0'; UPDATE tones SET tone = 'x'")
    before = document(owner, "own")
    downgrade()
    assert differences(owner, {"own": declared}) == [("publish_document", "own")]
    owner.execute("DELETE FROM settings; DELETE FROM tones")
    assert document(owner, "own") == before


def test_shapes_that_change(owner: psycopg.Connection) -> None:
    """The migration publishes what is new, its downgrade what was before; undeclared, it is unpublished."""
    migrate(owner, {"own": KeyValue("settings")})
    downgrade = migrate(owner, {"own": SHAPES})
    assert set(document(owner, "own")) == {"settings", "tones"}
    downgrade()
    assert set(document(owner, "own")) == {"top_k", "model", "limits"}
    assert differences(owner, {}) == [("unpublish_document", "own")]
    downgrade = migrate(owner, {})
    assert differences(owner, {}) == []
    downgrade()
    assert differences(owner, {"own": KeyValue("settings")}) == []


@pytest.mark.parametrize("suffix", ["", "_update", "_truncate"])
def test_a_trigger_that_is_missing(owner: psycopg.Connection, suffix: str) -> None:
    """Whoever dropped it: it is a difference, and the migration brings it back."""
    migrate(owner, {"own": SHAPES, "too": Function("templates_document", {"templates": None})})
    for table, name in (("tones", "own"), ("templates", "too")):
        trigger = value(owner, "SELECT config_trigger_name(%s)", name)
        owner.execute(f"DROP TRIGGER {trigger}{suffix} ON {table}")
    declared = {"own": SHAPES, "too": Function("templates_document", {"templates": None})}
    assert differences(owner, declared) == [
        *[("unpublish_document", "own"), ("unwatch_table", "templates", "too")],
        *[("publish_document", "own"), ("watch_table", "templates", "too")],
    ]
    migrate(owner, declared)
    assert differences(owner, declared) == []
    owner.execute("ALTER TABLE tones DISABLE TRIGGER USER")
    assert [each[0] for each in differences(owner, declared)] == ["unpublish_document", "publish_document"]


def test_a_function_of_your_own(owner: psycopg.Connection) -> None:
    """Its tables are watched, with their columns, and unwatched; other columns are another watch."""
    declared = {"own": Function("templates_document", {"templates": ["text", "id"]})}
    assert differences(owner, declared) == [("watch_table", "templates", "own")]
    downgrade = migrate(owner, declared)
    assert differences(owner, declared) == []
    before = version(owner)
    owner.execute("UPDATE templates SET used = 1")
    assert version(owner) == before
    another = {"own": Function("public.templates_document", {"public.templates": None})}
    assert [each[0] for each in differences(owner, another)] == ["unwatch_table", "watch_table"]
    back = migrate(owner, another)
    assert differences(owner, another) == []
    back()
    assert differences(owner, declared) == []
    downgrade()
    assert differences(owner, declared) == [("watch_table", "templates", "own")]


def test_from_a_function_to_shapes_and_back(owner: psycopg.Connection) -> None:
    """A document that hotconfig's function builds, and one of your own, are different ones under one name."""
    by_hand = {"own": Function("templates_document", {"templates": None})}
    migrate(owner, by_hand)
    migrate(owner, {"own": SHAPES})
    assert set(document(owner, "own")) == {"settings", "tones"}
    migrate(owner, by_hand)
    assert document(owner, "own") == {"templates": {"1": "one"}}
    assert differences(owner, by_hand) == []


@REFLECTED
@pytest.mark.parametrize(
    "change",
    [
        lambda tables: tables.remove(tables.tables["tones"]),
        lambda tables: tables.tables["tones"]._columns.remove(tables.tables["tones"].c.tone),
        lambda tables: setattr(tables.tables["tones"].c.tone, "type", sa.String(10)),
    ],
    ids=["a table is dropped", "a column is dropped", "a type changes"],
)
def test_what_is_published_changes(owner: psycopg.Connection, change: Callable[[sa.MetaData], object]) -> None:
    """The document is ended before and published behind it, and the other way round on the way back."""
    migrate(owner, {"own": SHAPES})
    after = metadata(owner, {"own": {"settings": KeyValue("settings")}})
    change(after)
    with engine(owner).connect() as connection:
        written = produce_migrations(MigrationContext.configure(connection, opts={"compare_type": True}), after)
    assert written.upgrade_ops is not None
    assert written.downgrade_ops is not None
    up, down = render_python_code(written.upgrade_ops), render_python_code(written.downgrade_ops)
    run(owner, up)
    assert set(document(owner, "own")) == {"settings"}
    run(owner, down)
    assert set(document(owner, "own")) == {"settings", "tones"}
    assert differences(owner, {"own": SHAPES}) == []


@REFLECTED
def test_a_type_that_changes(owner: psycopg.Connection) -> None:
    """PostgreSQL refuses that of a published column, so its document is ended before and published again behind it."""
    migrate(owner, {"own": SHAPES})
    after = metadata(owner, {"own": SHAPES})
    after.tables["tones"].c.tone.type = sa.String(10)
    with engine(owner).connect() as connection:
        written = produce_migrations(MigrationContext.configure(connection, opts={"compare_type": True}), after)
    assert written.upgrade_ops is not None
    run(owner, render_python_code(written.upgrade_ops))
    assert (
        value(owner, "SELECT atttypmod FROM pg_attribute WHERE attrelid = 'tones'::regclass AND attname = 'tone'") == 14
    )
    assert differences(owner, {"own": SHAPES}) == []


def test_offline(owner: psycopg.Connection, psql: Psql) -> None:
    """`alembic upgrade --sql` prints what psql runs."""
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context) as op:
        op.publish_document("own", SHAPES)  # type: ignore[attr-defined]
    psql(written.getvalue())
    assert set(document(owner, "own")) == {"settings", "tones"}


def test_a_new_table(owner: psycopg.Connection) -> None:
    """It is created before it is published, and dropped after it is not."""
    declaring = metadata(owner, {"own": KeyValue("new")})
    sa.Table("new", declaring, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))
    with engine(owner).connect() as connection:
        written = produce_migrations(MigrationContext.configure(connection), declaring)
    assert written.upgrade_ops is not None
    assert written.downgrade_ops is not None
    back = render_python_code(written.downgrade_ops)
    code = render_python_code(written.upgrade_ops)
    run(owner, code)
    owner.execute("INSERT INTO new VALUES ('a', 'b')")
    assert document(owner, "own") == {"a": "b"}
    run(owner, back)
    assert value(owner, "SELECT to_regclass('new')") is None


@pytest.mark.parametrize(
    "declared",
    [{"own": KeyValue("settings")}, {"own": Function("templates_document", {"templates": ["text"]})}],
)
def test_the_way_back_of_a_repair(owner: psycopg.Connection, declared: dict[str, Any]) -> None:
    """Somebody let the tables go at night; what published them again undoes no more than the first migration does."""
    first = migrate(owner, declared)
    owner.execute("SELECT config_unwatch_document('own')")
    repair = migrate(owner, declared)
    repair()
    first()
    assert value(owner, "SELECT count(*) FROM config_sources WHERE document = 'own'") == 0


def test_what_is_no_shape(owner: psycopg.Connection) -> None:
    """The mistake is named."""
    with pytest.raises(ValueError, match="'settings' is no shape: these are"):
        differences(owner, {"own": "settings"})
