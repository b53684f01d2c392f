"""The migration: all that the models say, in whichever schema, and back again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.util import CommandError
from conftest import PATIENCE, Sql
from hotconfig import embedded, migrations
from psycopg.sql import SQL, Identifier

from optiinfra import database
from optiinfra.models import ENUMS, Base
from optiinfra.registry import client

PROJECT = Path(__file__).resolve().parents[1]


def alembic(url: str, *steps: str) -> None:
    """`upgrade`, `downgrade`, `check`, each in a session of its own, as from the command line."""
    runs = {"upgrade": (command.upgrade, "head"), "downgrade": (command.downgrade, "base")}
    for step in steps:
        with migrations.connect(url) as connection, connection.begin():
            config = database.history(connection)
            if step in runs:
                run, target = runs[step]
                run(config, target)
            else:
                getattr(command, step)(config)


def catalog(url: str) -> str:
    """All that the database has but its rows, as SQL."""
    dump = [str(embedded.bin_path() / "pg_dump"), "--schema-only", "--restrict-key=none", url]
    return str(subprocess.run(dump, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout)


@pytest.mark.parametrize("path", [["public"], ["opti"], ['Opti: "infra"', "public"]], ids=lambda path: path[0])
def test_up_down_up(hotconfig_database: str, sql: Sql, path: list[str]) -> None:
    """In the schema that the search_path begins with; what another application has behind it, is not ours."""
    alembic(hotconfig_database, "downgrade")
    if path[0] != "public":
        sql.execute("INSERT INTO alembic_version VALUES ('another application''s'); CREATE TYPE agent_type AS ENUM ()")
        sql.execute(SQL("CREATE SCHEMA {}").format(Identifier(path[0])))
    names = SQL(", ").join(map(Identifier, path))
    here = Identifier(sql.info.dbname)
    sql.execute(SQL("ALTER DATABASE {} SET search_path = {}").format(here, names))

    alembic(hotconfig_database, "ensure_version")
    empty = catalog(hotconfig_database)
    alembic(hotconfig_database, "upgrade", "check")
    full = catalog(hotconfig_database)
    tables = sql.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = ANY (%s)",
        [path[0], [*Base.metadata.tables]],
    ).fetchone()
    assert tables == (len(Base.metadata.tables),)
    assert full.count("CREATE TYPE") - empty.count("CREATE TYPE") == len(ENUMS) == 9
    alembic(hotconfig_database, "downgrade")
    assert catalog(hotconfig_database) == empty
    alembic(hotconfig_database, "upgrade", "check")
    assert catalog(hotconfig_database) == full


def test_hotconfig_s_tables_elsewhere(hotconfig_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where HOTCONFIG_SCHEMA says; the migration names no schema of theirs either."""
    alembic(hotconfig_database, "downgrade")
    monkeypatch.setenv("HOTCONFIG_SCHEMA", "hot")
    with database.migrated(hotconfig_database), client(hotconfig_database) as registry:
        assert registry.current().agents == {}
    alembic(hotconfig_database, "check", "downgrade", "upgrade")


def test_a_search_path_that_begins_nowhere(hotconfig_database: str, sql: Sql) -> None:
    sql.execute(SQL("ALTER DATABASE {} SET search_path = nowhere").format(Identifier(sql.info.dbname)))
    with pytest.raises(CommandError, match="CREATE SCHEMA"):
        alembic(hotconfig_database, "upgrade")


def test_alembic_check_on_the_command_line(hotconfig_database: str) -> None:
    """As a developer types it here."""
    environment = {**os.environ, "HOTCONFIG_DATABASE_URL": hotconfig_database}
    check = [sys.executable, "-m", "alembic", "check"]
    done = subprocess.run(
        check, check=False, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, "No new upgrade operations detected.\n"), done.stderr


@pytest.mark.parametrize(
    "damage",
    [
        "DROP INDEX events_severity_idx",
        "ALTER TABLE agents ALTER last_heartbeat SET NOT NULL",
        "ALTER TABLE customers ALTER plan SET DEFAULT 'enterprise'",
        "ALTER TABLE customers DISABLE TRIGGER USER",
        "SELECT config_unwatch_document('optiinfra')",
    ],
)
def test_alembic_check_finds(hotconfig_database: str, sql: Sql, damage: str) -> None:
    sql.execute("UPDATE agents SET last_heartbeat = now()")
    sql.execute(damage)
    with pytest.raises(CommandError, match="New upgrade operations detected"):
        alembic(hotconfig_database, "check")


def test_enums(sql: Sql) -> None:
    """PostgreSQL has the values that Python has, in the same order, which autogenerate does not compare."""
    found = sql.execute("""
        SELECT typname, array_agg(enumlabel ORDER BY enumsortorder)::text[]
        FROM pg_enum JOIN pg_type t ON t.oid = enumtypid GROUP BY typname
    """).fetchall()
    assert dict(found) == {name: [str(member) for member in members] for name, members in ENUMS.items()}


def test_indexes(sql: Sql) -> None:
    """More than twenty, besides those of keys and unique constraints; the two composite ones that pages are read by."""
    found = sql.execute("""
        SELECT c.relname, array_agg(attname ORDER BY attnum)::text[]
        FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_attribute ON attrelid = c.oid
        WHERE NOT indisunique AND indrelid = ANY (
            '{customers, agents, events, recommendations, approvals, optimizations}'::regclass[])
        GROUP BY c.relname
    """)
    columns: dict[str, list[str]] = dict(found.fetchall())
    assert len(columns) > 20
    for table in ("recommendations", "optimizations"):
        assert columns[f"{table}_customer_id_created_at_idx"] == ["customer_id", "created_at"]
        assert columns[f"{table}_customer_id_status_idx"] == ["customer_id", "status"]
    assert columns["events_customer_id_created_at_idx"] == ["customer_id", "created_at"]
