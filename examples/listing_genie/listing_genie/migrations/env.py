"""Runs the migrations: on a connection it is handed, or where HOTCONFIG_DATABASE_URL says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context
from hotconfig import migrations

from listing_genie.image_settings import metadata


def run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


if "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    with migrations.connect() as connection, connection.begin():
        run(connection)
