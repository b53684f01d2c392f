"""Runs hotconfig's migrations: on a connection it is handed, on the configured database, or as SQL for a DBA."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from hotconfig import migrations, models

schema = migrations.schema_name(context.config.attributes.get("schema"))

# An application has its own alembic_version beside this one.
OPTIONS: dict[str, Any] = {
    "version_table": migrations.VERSION_TABLE,
    "version_table_schema": schema,
    "hotconfig_schema": schema,
}


def run(connection: sa.Connection) -> None:
    migrations.prepare(connection, schema)
    # Alembic calls the schema None that the search_path begins with.
    placed = None if schema == connection.dialect.default_schema_name else schema
    context.configure(
        connection=connection,
        target_metadata=models.metadata_in(placed),
        include_schemas=True,
        include_name=migrations.include_name(placed),
        compare_server_default=True,
        **OPTIONS,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    # psql takes a % as it is; the default paramstyle would double it.
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        if schema != "public":
            context.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        context.run_migrations()
elif "connection" in context.config.attributes:
    run(context.config.attributes["connection"])
else:
    with migrations.connect() as connection, connection.begin():
        run(connection)
