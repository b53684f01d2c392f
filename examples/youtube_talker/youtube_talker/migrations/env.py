"""Runs the migrations on the application's async engine."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from hotconfig import migrations  # noqa: F401  # op.publish_document, and autogenerate sees what is published

from youtube_talker import database
from youtube_talker.models import Base

# The tables' schema alone: what others hold under the same names, such as an alembic_version, is not ours.
ALONE = "SELECT set_config('search_path', quote_ident(current_schema()), true)"


def run(connection: sa.Connection) -> None:
    if connection.dialect.default_schema_name is None:
        raise CommandError("no schema of the search_path exists: CREATE SCHEMA first")
    connection.execute(sa.text(ALONE))
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    async with database.opened() as engine, engine.begin() as connection:
        await connection.run_sync(run)


asyncio.run(main())
