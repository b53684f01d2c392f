"""Migrations: up, down, checked, offline, at once, in any schema."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import alembic.command
import alembic.config
import alembic.util
import psycopg
import pytest
import sqlalchemy as sa
from catalog import COLUMNS, CONSTRAINTS, INDEXES, catalog
from conftest import Connect, Psql
from editing import eventually
from psycopg.sql import SQL, Identifier
from servers import Server
from sessions import value
from watching import TEMPLATES, engine, watch

from hotconfig import Unavailable, migrations, models

ROOT = Path(__file__).parent.parent
HEAD = "0001"
ODD = ['My "odd" schema-ü', "it's 100% a\\:b $1 @channel@ {x}", "ALL.dots", "x" * 53]


@pytest.fixture
def blank(server: Server) -> Iterator[psycopg.Connection]:
    """A session in an empty database."""
    name = f"blank_{os.urandom(4).hex()}"
    url = server.create_database(name, "template0")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    server.drop_database(name)


def alembic_command(connection: psycopg.Connection, *arguments: str, **environ: str) -> str:
    """The output of `alembic`, run in the checkout as anybody runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"HOTCONFIG_DATABASE_URL": connection.info.dsn} | environ,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(connection: psycopg.Connection, schema: str) -> None:
    """`alembic check`, in this process."""
    config = alembic.config.Config(str(ROOT / "alembic.ini"))
    with engine(connection).begin() as config.attributes["connection"]:
        config.attributes["schema"] = schema
        alembic.command.check(config)


def test_up_and_down(blank: psycopg.Connection) -> None:
    """status() follows; up again is nothing new, and down leaves only Alembic's empty table."""
    url = blank.info.dsn
    assert migrations.status(url) == migrations.Revision(current=None, head=HEAD)
    for _ in range(2):
        migrations.upgrade(url)
        assert migrations.status(url).up_to_date

    migrations.downgrade(url)

    assert migrations.status(url) == migrations.Revision(current=None, head=HEAD)
    left = [line.split(" | ")[0] for line in catalog(blank) if not line.startswith("role ")]
    assert {line.split()[1].split(".")[0] for line in left} == {
        "hotconfig_alembic_version",
        "hotconfig_alembic_version_pkc",
    }


def test_down_and_up_again(connect: Connect, database: str) -> None:
    """The same tables, columns, constraints, indexes, triggers, functions, owners and privileges."""
    connection = connect()
    before = catalog(connection)

    migrations.downgrade(database)
    migrations.upgrade(database)

    assert catalog(connection) == before


@pytest.mark.parametrize("schema", ODD)
def test_any_schema(blank: psycopg.Connection, connect: Connect, schema: str) -> None:
    """In a schema of another name everything is as it is in public, and `alembic check` and down work as well."""
    url = blank.info.dsn
    migrations.upgrade(url, schema=schema)

    assert catalog(blank, schema) == catalog(connect())
    check(blank, schema)
    blank.execute(SQL("LISTEN {}").format(Identifier(f"hotconfig:{schema}")))
    blank.execute(SQL("INSERT INTO {} (name) VALUES ('x')").format(Identifier(schema, "config_profiles")))
    assert [notify.payload for notify in blank.notifies(timeout=10, stop_after=1)] == ["1"]

    assert migrations.status(url, schema=schema).up_to_date
    assert migrations.status(url).current is None
    migrations.downgrade(url, schema=schema)
    assert migrations.status(url, schema=schema).current is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("pg_config", "PostgreSQL reserves names that begin with pg_"),
        ("a$$b", "two dollars in a row"),
        ("a\nb", "a control character"),
        ("a\tb", "a control character"),
        ("ü" * 27, "longer than the 53 bytes"),
        ("", "schema is empty"),
    ],
)
@pytest.mark.parametrize("verb", [migrations.upgrade, migrations.downgrade, migrations.status])
def test_schemas_that_are_refused(verb: Any, schema: str, message: str) -> None:
    """Before anything is connected to."""
    with pytest.raises(ValueError, match=message):
        verb("postgresql://nobody@/nowhere", schema=schema)


def test_alembic_check(connect: Connect) -> None:
    """`alembic check` in the checkout finds no difference between the models and the database; it could."""
    connection = connect()
    assert "No new upgrade operations detected" in alembic_command(connection, "check")
    check(connection, "public")

    connection.execute("ALTER TABLE config_mlflow ADD COLUMN extra text, ALTER created_at TYPE timestamp")
    connection.execute("DROP INDEX config_history_domain")
    with pytest.raises(alembic.util.AutogenerateDiffsDetected) as found:
        check(connection, "public")
    for what in ("extra", "modify_type", "config_history_domain"):
        assert what in str(found.value)


def test_the_models_are_the_tables(connect: Connect) -> None:
    """Every column, default, constraint and index of the models is that of the database; Alembic compares no CHECK."""
    connection = connect()
    parts = (COLUMNS, CONSTRAINTS, INDEXES)
    migrated = catalog(connection, parts=parts)
    connection.execute("CREATE SCHEMA made")
    with engine(connection).begin() as made:
        models.Base.metadata.create_all(made.execution_options(schema_translate_map={None: "made"}))

    mechanism = ("config_state", "config_dirty", "config_change", "hotconfig_alembic_version")
    assert catalog(connection, "made", parts) == [
        line for line in migrated if not line.split()[1].startswith(mechanism)
    ]


@pytest.mark.parametrize("schema", ["public", *ODD[:2]])
def test_offline(server: Server, blank: psycopg.Connection, connect: Connect, schema: str) -> None:
    """What `alembic upgrade head --sql` prints, run through psql, leaves the same catalog; and the way back too."""
    sql = alembic_command(blank, "upgrade", "head", "--sql", HOTCONFIG_SCHEMA=schema)
    server.psql(blank.info.dbname, sql)

    assert catalog(blank, schema) == catalog(connect())
    assert migrations.status(blank.info.dsn, schema=schema).up_to_date

    server.psql(blank.info.dbname, alembic_command(blank, "downgrade", "head:base", "--sql", HOTCONFIG_SCHEMA=schema))
    assert migrations.status(blank.info.dsn, schema=schema).current is None


def test_two_migrations_at_once(blank: psycopg.Connection) -> None:
    """Two processes upgrade: one does it, the other waits and finds it done."""
    program = "import sys; from hotconfig import migrations; migrations.upgrade(sys.argv[1], schema='app')"
    command = [sys.executable, "-c", program, blank.info.dsn]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with blank.transaction():
        blank.execute("SELECT pg_advisory_xact_lock(hashtextextended('hotconfig app', 0))")
        processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        eventually(lambda: value(blank, waiting) == 2)
    for process in processes:
        _, complaint = process.communicate(timeout=20)
        assert (process.returncode, complaint) == (0, "")

    assert migrations.status(blank.info.dsn, schema="app").up_to_date


def test_an_old_server() -> None:
    """PostgreSQL before 14 is refused with what is needed, before anything is done."""
    old = SimpleNamespace(dialect=SimpleNamespace(server_version_info=(13, 22)))
    with pytest.raises(Unavailable, match=r"needs PostgreSQL 14 or newer.*Next: use a newer server"):
        migrations.prepare(cast("sa.Connection", old), "public")


def test_a_server_that_is_not_there() -> None:
    """Unavailable, with the address and a next step."""
    for verb in (migrations.upgrade, migrations.downgrade, migrations.status):
        with pytest.raises(Unavailable, match=r"host=/nowhere.*Next: "):
            verb("postgresql://postgres@/app?host=/nowhere")


def test_a_role_that_may_not_create(blank: psycopg.Connection, role: str) -> None:
    """Unavailable says what was refused and who should migrate."""
    url = psycopg.conninfo.make_conninfo(blank.info.dsn, user=role)
    with pytest.raises(Unavailable, match=r"permission denied for schema public.*Next: let a role migrate"):
        migrations.upgrade(url)
    with pytest.raises(Unavailable, match=r"permission denied for database blank_\w+.*Next: let a role migrate"):
        migrations.upgrade(url, schema="app")
    migrations.upgrade(blank.info.dsn)
    with pytest.raises(Unavailable, match=r"permission denied for table hotconfig_alembic_version"):
        migrations.status(url)


def test_tables_that_are_still_watched(connect: Connect, database: str) -> None:
    """The way back is refused and names them; nothing is gone."""
    connection = connect()
    connection.execute(TEMPLATES)
    watch(connection)

    with pytest.raises(Unavailable, match=r"on table templates depends on.*Next: stop watching these tables"):
        migrations.downgrade(database)

    assert migrations.status(database).up_to_date
    connection.execute("UPDATE templates SET text = 'x'")


def test_a_refusal_with_a_hint(database: str, psql: Psql) -> None:
    """What PostgreSQL, or hotconfig in it, says about the next step is the next step."""
    psql("CREATE SCHEMA closed; CREATE TABLE closed.settings (key text, value text)")
    psql(
        "CREATE FUNCTION closed.document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = ''"
        " RETURN '{}'::jsonb"
    )
    with (
        pytest.raises(Unavailable, match=r"permission denied for schema closed\. Next: .* needs USAGE on its schema"),
        migrations.connect(database) as connection,
        connection.begin(),
    ):
        migrations.watch_table(
            connection, "settings", publishes="own", function="closed.document", table_schema="closed"
        )
