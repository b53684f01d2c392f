"""Documents of the common shapes: `publish_document`, on a connection and as an operation of Alembic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from alembic.operations import MigrateOperation, Operations
from psycopg.sql import SQL, Identifier, Literal

from hotconfig._shapes import KeyValue, Rows, RowsByKey, Shapes, check, expression, matters, references
from hotconfig._shipped import qualified, text
from hotconfig.conninfo import schema_name

SHAPES: dict[str, Any] = {each.__name__: each for each in (KeyValue, Rows, RowsByKey)}


def publish_document(connection: sa.Connection, name: str, shapes: Shapes, *, schema: str | None = None) -> None:
    """Publish tables of yours as a document, anew at each transaction that changes what is published.

    Called again it does nothing, or replaces what the document was made of. PostgreSQL knows which columns that are: it
    refuses to drop one and to change its type, and publishes a renamed one on. Call `unpublish_document` before.

    Args:
        connection: of a role that owns the tables and is a member of hotconfig's owner.
        name: the document's, for `Client(document=...)`. Not `active`, not `profile/...`.
        shapes: one shape, `KeyValue` or `RowsByKey`, or an object with a shape for each key; `version` is no key.
        schema: of hotconfig's tables, as for `Client`.

    Raises:
        ValueError: the shapes make no document.
        sqlalchemy.exc.DBAPIError: no such table or column, or a key comes twice; the message says what to do.
    """
    connection.execute(text(publish_sql(name, shapes, schema_name(schema))))


def unpublish_document(connection: sa.Connection, name: str, *, schema: str | None = None) -> None:
    """Undo `publish_document`, or what is left of it. Does nothing if it was undone before, such as at night.

    The document stays as it is; `SELECT config_publish(name, NULL)` withdraws it.
    """
    connection.execute(text(_unpublish_sql(name, schema_name(schema))))


@Operations.register_operation("publish_document")
class PublishDocument(MigrateOperation):
    """`op.publish_document(...)`."""

    def __init__(self, name: str, shapes: Shapes, schema: str | None = None) -> None:
        self.name = name
        self.shapes = shapes
        self.schema = schema

    @classmethod
    def publish_document(cls, operations: Operations, name: str, shapes: Shapes, *, schema: str | None = None) -> None:
        """Publish tables of yours as a document: see `hotconfig.migrations.publish_document`."""
        operations.invoke(cls(name, shapes, schema))

    def reverse(self) -> MigrateOperation:
        return UnpublishDocument(self.name, self.shapes, self.schema)

    def to_diff_tuple(self) -> tuple[str, str]:
        return "publish_document", self.name


@Operations.register_operation("unpublish_document")
class UnpublishDocument(MigrateOperation):
    """`op.unpublish_document(...)`; `before` are the shapes that it was published with."""

    def __init__(self, name: str, before: Shapes | None = None, schema: str | None = None) -> None:
        self.name = name
        self.before = before
        self.schema = schema

    @classmethod
    def unpublish_document(cls, operations: Operations, name: str, *, schema: str | None = None) -> None:
        """Undo `op.publish_document`: see `hotconfig.migrations.unpublish_document`."""
        operations.invoke(cls(name, schema=schema))

    def reverse(self) -> MigrateOperation:
        assert self.before is not None
        return PublishDocument(self.name, self.before, self.schema)

    def to_diff_tuple(self) -> tuple[str, str]:
        return "unpublish_document", self.name


@Operations.implementation_for(PublishDocument)
def _publish(operations: Operations, operation: PublishDocument) -> None:
    operations.execute(text(publish_sql(operation.name, operation.shapes, schema_name(operation.schema))))


@Operations.implementation_for(UnpublishDocument)
def _unpublish(operations: Operations, operation: UnpublishDocument) -> None:
    operations.execute(text(_unpublish_sql(operation.name, schema_name(operation.schema))))


def publish_sql(name: str, shapes: Shapes, schema: str) -> str:
    """The statement; `schema` is hotconfig's."""
    check(shapes)
    pieces, tables = expression(shapes, schema), references(shapes)
    watched = [SQL("{}::regclass").format(Literal(qualified(each.table, each.schema))) for each in tables]
    return (
        SQL("SELECT {}.config_shape({}, {}, ARRAY[{}], {}, {})")
        .format(
            Identifier(schema),
            Literal(name),
            Literal(pieces),
            SQL(", ").join(watched),
            Literal(json.dumps([matters(each) for each in tables])),
            Literal(dumps(shapes, schema)),
        )
        .as_string()
    )


def _unpublish_sql(name: str, schema: str) -> str:
    return SQL("SELECT {}.config_unshape({})").format(Identifier(schema), Literal(name)).as_string()


def dumps(shapes: Shapes, schema: str) -> str:
    """The shapes as JSON, which stands in the function's comment, with a digest of the SQL that they are made into."""
    named = shapes if isinstance(shapes, Mapping) else {"": shapes}
    plain = {key: {"shape": type(each).__name__, **asdict(each)} for key, each in named.items()}
    digest = hashlib.md5("\0".join(expression(shapes, schema)).encode(), usedforsecurity=False).hexdigest()
    return json.dumps({"shapes": plain, "sql": digest}, sort_keys=True)


def loads(comment: str) -> Shapes:
    """The shapes of such a comment. Raises ValueError, TypeError or LookupError if it is none."""
    plain = json.loads(comment)["shapes"]
    shapes: dict[str, Any] = {key: SHAPES[each.pop("shape")](**each) for key, each in plain.items()}
    single: Shapes | None = shapes.get("")
    return shapes if single is None else single
