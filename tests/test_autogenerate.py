"""Alembic's autogenerate: what a metadata declares and the database lacks is written into a migration, and back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript, UpgradeOps
from alembic.runtime.migration import MigrationContext
from conftest import Connect, Psql
from sessions import document, value, version
from test_shapes import TABLES
from watching import TEMPLATES, engine

from hotconfig import Unavailable, migrations
from hotconfig.migrations import Function, KeyValue, Rows, RowsByKey

SHAPES = {"settings": KeyValue("settings"), "tones": Rows("tones", ["type", "tone"], where={"is_default": True})}


# What SQLAlchemy reads from the database says more of a column than Alembic has a use for.
REFLECTED = pytest.mark.filterwarnings("ignore:autoincrement and existing_autoincrement")


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of three tables and a function; none is watched."""
    connection = connect()
    connection.execute(TABLES)
    connection.execute(TEMPLATES)
    return connection


def metadata(owner: psycopg.Connection, declared: object = None) -> sa.MetaData:
    """An application's, as its tables are."""
    found = sa.MetaData(info={} if declared is None else {"hotconfig": declared})
    with engine(owner).connect() as connection:
        found.reflect(connection, only=lambda name, _: not name.startswith(("config_", "hotconfig_")))
    return found


def differences(owner: psycopg.Connection, declared: object = None) -> list[Any]:
    """As `alembic check` finds them."""
    with engine(owner).connect() as connection:
        return [*compare_metadata(MigrationContext.configure(connection), metadata(owner, declared))]


def script(owner: psycopg.Connection, declared: object) -> MigrationScript:
    with engine(owner).connect() as connection:
        return produce_migrations(MigrationContext.configure(connection), metadata(owner, declared))


def run(owner: psycopg.Connection, code: str) -> None:
    """The body of a migration's function, as Alembic runs it."""
    with engine(owner).begin() as connection, Operations.context(MigrationContext.configure(connection)) as op:
        exec(f"def body():\n    {code}\nbody()", {"op": op, "migrations": migrations, "sa": sa})


def run_function(owner: psycopg.Connection, file: str, name: str) -> None:
    """`upgrade` or `downgrade` of a whole migration."""
    names: dict[str, Any] = {}
    with engine(owner).begin() as connection, Operations.context(MigrationContext.configure(connection)):
        exec(file, names)
        names[name]()


def migrate(owner: psycopg.Connection, declared: object) -> Callable[[], None]:
    """Run the migration that autogenerate writes; the result runs its downgrade."""
    written = script(owner, declared)
    assert written.upgrade_ops is not None
    assert written.downgrade_ops is not None
    back = render_python_code(written.downgrade_ops)
    run(owner, render_python_code(written.upgrade_ops))
    return lambda: run(owner, back)


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
