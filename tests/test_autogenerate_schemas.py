"""Alembic's autogenerate: whose tables these are, in which schema, beside which others."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from autogenerating import SHAPES, differences, metadata, migrate, run, script
from conftest import Connect
from publishing import TABLES
from sessions import value
from watching import TEMPLATES, engine

from hotconfig import Unavailable, migrations
from hotconfig.migrations import Function, KeyValue, Rows


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of three tables and a function; none is watched."""
    connection = connect()
    connection.execute(TABLES)
    connection.execute(TEMPLATES)
    return connection


def test_another_application(owner: psycopg.Connection) -> None:
    """A document of tables that are not in the metadata is not its to unpublish."""
    migrate(owner, {"own": SHAPES})
    mine = sa.MetaData(info={"hotconfig": {}})
    with engine(owner).connect() as connection:
        mine.reflect(connection, only=["settings"])
        only = {"include_name": lambda name, kind, _: kind != "table" or name == "settings"}
        assert compare_metadata(MigrationContext.configure(connection, opts=only), mine) == []


def test_several_metadatas(owner: psycopg.Connection) -> None:
    """What one of them declares the other does not unpublish, though it has the tables."""
    migrate(owner, {"own": SHAPES})
    one, other = sa.MetaData(info={"hotconfig": {"own": SHAPES}}), metadata(owner, {})
    with engine(owner).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), [one, other]) == []  # type: ignore[arg-type]


def test_tables_of_hotconfig_s(owner: psycopg.Connection) -> None:
    """Of whichever installation and wherever the search_path finds them, they are nobody's to drop; yours are yours."""
    owner.execute("CREATE SCHEMA app; CREATE TABLE app.config_history (id int)")
    migrations.upgrade(owner.info.dsn, schema="another")
    mine = metadata(owner)
    sa.Table("config_history", mine, sa.Column("id", sa.Integer), schema="app")
    with engine(owner).connect() as connection:
        connection.execute(sa.text("SET search_path = app, public"))
        connection.dialect.default_schema_name = "app"
        context = MigrationContext.configure(connection, opts={"include_schemas": True})
        told = compare_metadata(context, mine)
    assert [each for each in told if "config_" in str(each) or "alembic" in str(each)] == []


def test_an_installation_elsewhere(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration names the schema of hotconfig's tables, wherever it is run."""
    schema = "my: app"
    migrations.upgrade(owner.info.dsn, schema=schema)
    declared = {"own": SHAPES, "too": Function("templates_document", {"templates": ["text"]})}
    with monkeypatch.context() as there:
        there.setenv("HOTCONFIG_SCHEMA", schema)
        written = script(owner, declared)
    assert written.upgrade_ops is not None
    assert written.downgrade_ops is not None
    back = render_python_code(written.downgrade_ops)
    run(owner, render_python_code(written.upgrade_ops))
    published = f'SELECT count(*) FROM "{schema}".config_documents WHERE document IS NOT NULL'
    assert value(owner, published) == 2
    run(owner, back)
    assert value(owner, f"SELECT count(*) FROM \"{schema}\".config_sources WHERE document <> 'profile/*'") == 0


def test_a_database_without_hotconfig(owner: psycopg.Connection) -> None:
    """What is declared cannot be compared, and the error says what to do."""
    owner.execute("ALTER TABLE config_dirty RENAME TO config_dirty_")
    with pytest.raises(Unavailable, match="Next: `hotconfig migrate`"):
        differences(owner, {"own": SHAPES})


@pytest.mark.parametrize(
    "declared",
    [
        {"own": KeyValue("limits", "name", "value")},
        {"own": {"limits": KeyValue("limits", "name", "value"), "names": Rows("app.limits", ["name"])}},
        {"own": Function("public.templates_document", {"limits": ["name"], "public.templates": None})},
    ],
)
def test_a_metadata_with_a_schema(owner: psycopg.Connection, declared: dict[str, Any]) -> None:
    """What names no schema is there, as its tables are."""
    owner.execute("CREATE SCHEMA app CREATE TABLE limits (name text, value int)")
    described = sa.MetaData(schema="app", info={"hotconfig": declared})
    sa.Table("limits", described, sa.Column("name", sa.Text), sa.Column("value", sa.Integer))
    run(owner, render_python_code(of_hotconfig(owner, described)))
    assert of_hotconfig(owner, described).is_empty()
    assert value(owner, "SELECT count(*) FROM config_sources WHERE schema = 'app' AND document = 'own'") == 1


def of_hotconfig(owner: psycopg.Connection, described: sa.MetaData) -> UpgradeOps:
    """What autogenerate writes, less what is to be done with the tables."""
    with engine(owner).connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_schemas": True})
        written = produce_migrations(context, described).upgrade_ops
    assert written is not None
    written.ops[:] = [each for each in written.ops if type(each).__module__.startswith("hotconfig")]
    return written
