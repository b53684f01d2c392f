"""Your tables made hot: `watch_table` and `unwatch_table`, on a connection and as operations of Alembic."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic.operations import MigrateOperation, Operations
from psycopg.sql import SQL, Identifier, Literal

from hotconfig._shipped import qualified, split, text
from hotconfig.conninfo import schema_name


def watch_table(
    connection: sa.Connection,
    table: str,
    *,
    publishes: str,
    function: str,
    columns: Sequence[str] | None = None,
    table_schema: str | None = None,
    schema: str | None = None,
) -> None:
    """Make a table hot: a transaction that changes it publishes the document anew.

    Several tables may publish one document; they share its function.

    Args:
        connection: of a role that owns the table and is a member of hotconfig's owner.
        table: an ordinary table; its columns stay as they are.
        publishes: the document's name, for `Client(document=...)`. Not `active`, not `profile/...`.
        function: a SQL function without arguments that returns the document as a jsonb object, `name` or
            `schema.name`. It runs with the rights of hotconfig's owner and an empty search_path, so it must be
            SECURITY DEFINER or belong to that owner, and qualify its names. A search_path of its own is empty or ends
            with pg_temp, and whoever owns a watched table has the rights of the function's owner: else it is refused.
        columns: those that matter; an update of others costs nothing. Default: all.
        table_schema: default: where the search_path finds the table.
        schema: of hotconfig's tables, as for `Client`.

    Raises:
        sqlalchemy.exc.DBAPIError: no such table, column or function, or the function cannot be used; the message says
            what to do.
    """
    operation = WatchTable(table, publishes=publishes, function=function, columns=columns, table_schema=table_schema)
    connection.execute(text(watch_sql(operation, schema_name(schema))))


def unwatch_table(
    connection: sa.Connection,
    table: str,
    *,
    publishes: str,
    table_schema: str | None = None,
    schema: str | None = None,
) -> None:
    """Stop watching a table, if it is watched: somebody may have let it go before, at night.

    The document stays as it is; `SELECT config_publish(name, NULL)` withdraws it.

    Raises:
        sqlalchemy.exc.DBAPIError: there is no such table.
    """
    connection.execute(text(_unwatch_sql(table, publishes, table_schema, schema_name(schema))))


@Operations.register_operation("watch_table")
class WatchTable(MigrateOperation):
    """`op.watch_table(...)`."""

    def __init__(
        self,
        table: str,
        *,
        publishes: str,
        function: str,
        columns: Sequence[str] | None = None,
        table_schema: str | None = None,
        schema: str | None = None,
    ) -> None:
        self.table = table
        self.publishes = publishes
        self.function = function
        self.columns = columns
        self.table_schema = table_schema
        self.schema = schema

    @classmethod
    def watch_table(
        cls,
        operations: Operations,
        table: str,
        *,
        publishes: str,
        function: str,
        columns: Sequence[str] | None = None,
        table_schema: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Make a table hot: see `hotconfig.migrations.watch_table`."""
        operations.invoke(
            cls(
                table,
                publishes=publishes,
                function=function,
                columns=columns,
                table_schema=table_schema,
                schema=schema,
            )
        )

    def reverse(self) -> MigrateOperation:
        return UnwatchTable(
            self.table, publishes=self.publishes, table_schema=self.table_schema, schema=self.schema, before=self
        )

    def to_diff_tuple(self) -> tuple[str, str, str]:
        return "watch_table", self.table, self.publishes


@Operations.register_operation("unwatch_table")
class UnwatchTable(MigrateOperation):
    """`op.unwatch_table(...)`; `before` is how it was watched."""

    def __init__(
        self,
        table: str,
        *,
        publishes: str,
        table_schema: str | None = None,
        schema: str | None = None,
        before: WatchTable | None = None,
    ) -> None:
        self.table = table
        self.publishes = publishes
        self.table_schema = table_schema
        self.schema = schema
        self.before = before

    @classmethod
    def unwatch_table(
        cls,
        operations: Operations,
        table: str,
        *,
        publishes: str,
        table_schema: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Stop watching a table: see `hotconfig.migrations.unwatch_table`."""
        operations.invoke(cls(table, publishes=publishes, table_schema=table_schema, schema=schema))

    def reverse(self) -> MigrateOperation:
        assert self.before is not None
        return self.before

    def to_diff_tuple(self) -> tuple[str, str, str]:
        return "unwatch_table", self.table, self.publishes


@Operations.implementation_for(WatchTable)
def _watch(operations: Operations, operation: WatchTable) -> None:
    operations.execute(text(watch_sql(operation, schema_name(operation.schema))))


@Operations.implementation_for(UnwatchTable)
def _unwatch(operations: Operations, operation: UnwatchTable) -> None:
    schema = schema_name(operation.schema)
    operations.execute(text(_unwatch_sql(operation.table, operation.publishes, operation.table_schema, schema)))


def watch_sql(watch: WatchTable, schema: str) -> str:
    """The statement; `schema` is hotconfig's."""
    return (
        SQL("SELECT {}.config_watch({}::regclass, {}, {}::regprocedure, {})")
        .format(
            Identifier(schema),
            Literal(qualified(watch.table, watch.table_schema)),
            Literal(watch.publishes),
            Literal(signature(watch.function)),
            Literal(None if watch.columns is None else list(watch.columns)),
        )
        .as_string()
    )


def signature(function: str) -> str:
    """Of a function without arguments, as regprocedure reads it."""
    schema, name = split(function)
    return f"{qualified(name, schema)}()"


def _unwatch_sql(table: str, publishes: str, table_schema: str | None, schema: str) -> str:
    return (
        SQL(
            "SELECT {schema}.config_unwatch(t.watched, {document}) FROM (SELECT {table}::regclass AS watched) AS t"
            " WHERE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t.watched"
            " AND tgname = ANY ({schema}.config_trigger_names({document})))"
        )
        .format(schema=Identifier(schema), document=Literal(publishes), table=Literal(qualified(table, table_schema)))
        .as_string()
    )
