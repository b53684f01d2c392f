"""Documents of the common shapes: `publish_document`, on a connection and as an operation of Alembic.

PostgreSQL reads the function's names when it is made, so a column that it publishes can be renamed, and not be dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, LiteralString

import sqlalchemy as sa
from alembic.operations import MigrateOperation, Operations
from psycopg.sql import SQL, Composable, Identifier, Literal

from hotconfig._shapes import KeyValue, Rows, RowsByKey, Shapes, check, query, watched
from hotconfig._shipped import qualified, text
from hotconfig.conninfo import schema_name

SHAPES: dict[str, Any] = {each.__name__: each for each in (KeyValue, Rows, RowsByKey)}


def publish_document(connection: sa.Connection, name: str, shapes: Shapes) -> None:
    """Publish tables of yours as a document, anew at each transaction that changes what is published.

    Called again it replaces what the document was made of. It makes the function `<name>_document` in hotconfig's
    schema, which PostgreSQL keeps from being broken: to drop a column or to change its type, publish without it first.

    Args:
        connection: of a role that owns the tables and is a member of hotconfig's owner.
        name: the document's, for `Client(document=...)`. Not `active`, not `profile/...`.
        shapes: one shape, `KeyValue` or `RowsByKey`, or an object with a shape for each key; `version` is no key.

    Raises:
        ValueError: the shapes make no document.
        sqlalchemy.exc.DBAPIError: no such table or column, or a key comes twice; the message says what to do.
    """
    for statement in publish_sql(name, shapes, schema_name(None)):
        connection.execute(text(statement))


def unpublish_document(connection: sa.Connection, name: str) -> None:
    """Undo `publish_document`. The document stays as it is; `SELECT config_publish(name, NULL)` withdraws it.

    Raises:
        sqlalchemy.exc.DBAPIError: it is not published by `publish_document`.
    """
    for statement in _unpublish_sql(name, schema_name(None)):
        connection.execute(text(statement))


@Operations.register_operation("publish_document")
class PublishDocument(MigrateOperation):
    """`op.publish_document(name, shapes)`; `before` are the shapes that it replaces."""

    def __init__(self, name: str, shapes: Shapes, before: Shapes | None = None) -> None:
        self.name = name
        self.shapes = shapes
        self.before = before

    @classmethod
    def publish_document(cls, operations: Operations, name: str, shapes: Shapes) -> None:
        """Publish tables of yours as a document: see `hotconfig.migrations.publish_document`."""
        operations.invoke(cls(name, shapes))

    def reverse(self) -> MigrateOperation:
        if self.before is None:
            return UnpublishDocument(self.name, self.shapes)
        return PublishDocument(self.name, self.before, self.shapes)

    def to_diff_tuple(self) -> tuple[str, str]:
        return "publish_document", self.name


@Operations.register_operation("unpublish_document")
class UnpublishDocument(MigrateOperation):
    """`op.unpublish_document(name)`; `before` are the shapes that it was published with."""

    def __init__(self, name: str, before: Shapes | None = None) -> None:
        self.name = name
        self.before = before

    @classmethod
    def unpublish_document(cls, operations: Operations, name: str) -> None:
        """Undo `op.publish_document`: see `hotconfig.migrations.unpublish_document`."""
        operations.invoke(cls(name))

    def reverse(self) -> MigrateOperation:
        assert self.before is not None
        return PublishDocument(self.name, self.before)

    def to_diff_tuple(self) -> tuple[str, str]:
        return "unpublish_document", self.name


@Operations.implementation_for(PublishDocument)
def _publish(operations: Operations, operation: PublishDocument) -> None:
    for statement in publish_sql(operation.name, operation.shapes, schema_name(None)):
        operations.execute(text(statement))


@Operations.implementation_for(UnpublishDocument)
def _unpublish(operations: Operations, operation: UnpublishDocument) -> None:
    for statement in _unpublish_sql(operation.name, schema_name(None)):
        operations.execute(text(statement))


def function_name(document: str) -> str:
    return f"{document}_document"


def dumps(shapes: Shapes) -> str:
    """The shapes as JSON, which stands in the function's comment."""
    told = shapes if isinstance(shapes, Mapping) else {"": shapes}
    return json.dumps({key: {"shape": type(each).__name__, **asdict(each)} for key, each in told.items()})


def loads(comment: str) -> Shapes:
    """The shapes of such a comment. Raises ValueError or TypeError if it is none."""
    told: dict[str, Any] = {key: SHAPES[each.pop("shape")](**each) for key, each in json.loads(comment).items()}
    shapes: Shapes = told.get("", told)
    return shapes


def publish_sql(name: str, shapes: Shapes, schema: str) -> Iterator[str]:
    """The statements; `schema` is hotconfig's."""
    check(shapes)
    function = SQL("{}()").format(Identifier(schema, function_name(name)))
    yield from _unwatch_all(schema, name)
    # Stable settings, since the text of a time, an interval or a float depends on them.
    yield _sql(
        "CREATE OR REPLACE FUNCTION {} RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''"
        " SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1 BEGIN ATOMIC {}; END",
        *[function, query(shapes, schema)],
    )
    yield _sql("COMMENT ON FUNCTION {} IS {}", function, Literal(dumps(shapes)))
    # What it returns is for those who may read config_documents.
    yield _sql("REVOKE ALL ON FUNCTION {} FROM PUBLIC", function)
    builder = f"{qualified('config_build_document', schema)}(text)"
    grant = _sql(
        "BEGIN EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', {}::regprocedure,"
        " (SELECT proowner::regrole FROM pg_proc WHERE oid = {}::regprocedure)); END",
        *[Literal(function.as_string()), Literal(builder)],
    )
    yield _sql("DO {}", Literal(grant))
    for (table_schema, table), columns in watched(shapes).items():
        yield _sql(
            "SELECT {}.config_watch({}::regclass, {}, {}::regprocedure, {})",
            *[Identifier(schema), Literal(qualified(table, table_schema)), Literal(name)],
            *[Literal(function.as_string()), Literal(columns)],
        )


def _unpublish_sql(name: str, schema: str) -> Iterator[str]:
    yield from _unwatch_all(schema, name)
    yield _sql("DROP FUNCTION {}()", Identifier(schema, function_name(name)))


def _unwatch_all(schema: str, name: str) -> Iterator[str]:
    yield _sql(
        "SELECT {}.config_unwatch(tgrelid, {}) FROM pg_trigger WHERE tgname = {}.config_trigger_name({})",
        *[Identifier(schema), Literal(name), Identifier(schema), Literal(name)],
    )
    # Of tables that were dropped.
    yield _sql("DELETE FROM {}.config_sources WHERE document = {}", Identifier(schema), Literal(name))


def _sql(template: LiteralString, *arguments: Composable) -> str:
    return SQL(template).format(*arguments).as_string()
