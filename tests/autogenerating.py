"""What Alembic's autogenerate finds, and migrations that it writes, run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from watching import engine

from hotconfig import migrations
from hotconfig.migrations import KeyValue, Rows

SHAPES = {"settings": KeyValue("settings"), "tones": Rows("tones", ["type", "tone"], where={"is_default": True})}

# What SQLAlchemy reads from the database says more of a column than Alembic has a use for.
REFLECTED = pytest.mark.filterwarnings("ignore:autoincrement and existing_autoincrement")


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
