"""Runs the migrations: on a connection that it is handed, or where HOTCONFIG_DATABASE_URL says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from hotconfig import migrations

from optiinfra.models import Base


def run(connection: sa.Connection) -> None:
    schema = connection.scalar(sa.select(sa.func.current_schema()))
    if schema is None:
        raise CommandError("no schema of the search_path exists: make one with CREATE SCHEMA")
    # That one alone: behind it are other applications, whose tables and alembic_version are not ours.
    connection.execute(sa.text("SELECT set_config('search_path', quote_ident(:schema), true)"), {"schema": schema})
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


if "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    with migrations.connect() as connection, connection.begin():
        run(connection)
