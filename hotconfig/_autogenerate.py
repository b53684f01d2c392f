"""Alembic's autogenerate and `alembic check` see what is published: a forgotten trigger is a difference.

What should be published stands in the metadata: `MetaData(info={"hotconfig": {"talker": ...}})`, to each document's
name its shapes, as `publish_document` takes them, or a `Function`. What is not declared there is left alone, unless all
of its tables are the metadata's.

It works as Alembic's manual has it ("Autogenerating Custom Operation Directives"), in every env.py that imports
`hotconfig.migrations`. hotconfig's own tables, which would be dropped as unknown, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import DropTableOp, MigrateOperation, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority
from psycopg.sql import Identifier
from sqlalchemy.dialects.postgresql.base import ischema_names

from hotconfig._published import PublishDocument, UnpublishDocument, dumps, loads
from hotconfig._shapes import Shape, Shapes, watched
from hotconfig._shipped import qualified
from hotconfig._watched import UnwatchTable, WatchTable
from hotconfig.conninfo import schema_name
from hotconfig.errors import Unavailable
from hotconfig.models import Base

# Or SQLAlchemy warns of hotconfig's own tables, which Alembic reads before they are left out.
ischema_names.setdefault("xid8", sa.BigInteger)

OWN = {*Base.metadata.tables, "config_state", "config_dirty", "hotconfig_alembic_version"}

# The documents that are watched, with those of their tables that still have all triggers.
FOUND = """
    SELECT s.document, f.nspname || '.' || p.proname, obj_description(p.oid, 'pg_proc'),
           jsonb_agg(jsonb_build_array(n.nspname, c.relname, s.columns))
    FROM {sources} AS s
    JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', s.schema, s."table"))
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = to_regprocedure(s.function)
    JOIN pg_namespace f ON f.oid = p.pronamespace
    WHERE s.document <> 'profile/*' AND 3 = (
        SELECT count(*) FROM pg_trigger t
        WHERE t.tgrelid = c.oid AND starts_with(t.tgname, {trigger_name}(s.document)))
    GROUP BY s.document, p.oid, f.nspname, p.proname ORDER BY s.document
"""

Table: TypeAlias = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True)
class Function:
    """A document that a function of your own builds.

    Attributes:
        function: its name, or `schema.name`.
        tables: those that it reads, each by its name or `schema.name`, with the columns that matter; None: all.
    """

    function: str
    tables: Mapping[str, Sequence[str] | None]


@dataclass(frozen=True)
class _Found:
    function: str
    shapes: Shapes | None
    """None: the function is not hotconfig's."""
    tables: Mapping[Table, Sequence[str] | None]


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade_ops: UpgradeOps, _schemas: object) -> None:
    """Add what differs, behind whatever creates the tables."""
    schema, connection = schema_name(None), context.connection
    assert connection is not None
    default = str(connection.dialect.default_schema_name)
    given = context.metadata if isinstance(context.metadata, Sequence) else [context.metadata]
    metadatas = [each for each in given if each is not None]
    unknown = OWN.difference(table.name for metadata in metadatas for table in metadata.tables.values())
    upgrade_ops.ops[:] = [each for each in upgrade_ops.ops if not _is_of(each, unknown, schema, default)]
    declaring = [metadata for metadata in metadatas if "hotconfig" in metadata.info]
    if not declaring:
        return
    if not sa.inspect(connection).has_table("config_sources", schema=schema):
        raise Unavailable(f"schema {schema!r} has no tables of hotconfig. Next: `hotconfig migrate`.")
    found = _found(connection, schema)
    for metadata in declaring:
        declared: Mapping[str, Shapes | Function] = metadata.info["hotconfig"]
        tables = {(table.schema or default, table.name) for table in metadata.tables.values()}
        others = [name for name in found if name not in declared and tables.issuperset(found[name].tables)]
        for name in others:
            upgrade_ops.ops.extend(_ending(name, found[name]))
        for name, wanted in declared.items():
            if isinstance(wanted, Function):
                upgrade_ops.ops.extend(_by_function(connection, name, wanted, found.get(name)))
            else:
                upgrade_ops.ops.extend(_by_shapes(name, wanted, found.get(name), default))


def _is_of(operation: MigrateOperation, tables: AbstractSet[str], schema: str, default: str) -> bool:
    return (
        isinstance(operation, DropTableOp | ModifyTableOps)
        and (operation.schema or default) == schema
        and operation.table_name in tables
    )


def _found(connection: sa.Connection, schema: str) -> dict[str, _Found]:
    query = FOUND.format(
        sources=qualified("config_sources", schema), trigger_name=qualified("config_trigger_name", schema)
    )
    found = {}
    for name, function, comment, tables in connection.execute(sa.text(query)):
        try:
            shapes = loads(comment or "")
        except (ValueError, TypeError, LookupError, AttributeError):  # a comment of somebody else's
            shapes = None
        found[name] = _Found(function, shapes, {(schema, table): columns for schema, table, columns in tables})
    return found


def _by_shapes(name: str, wanted: Shapes, found: _Found | None, default: str) -> Iterator[MigrateOperation]:
    tables = {(schema or default, table) for schema, table in watched(wanted)}
    if found is None or found.shapes is None:
        yield PublishDocument(name, wanted)
    elif dumps(found.shapes) != dumps(wanted) or tables != set(found.tables):
        yield PublishDocument(name, wanted, found.shapes)


def _by_function(
    connection: sa.Connection, name: str, wanted: Function, found: _Found | None
) -> Iterator[MigrateOperation]:
    named = """
        SELECT nspname || '.' || proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE p.oid = to_regprocedure(:signature)
    """
    signature = Identifier(*wanted.function.split(".", 1)).as_string() + "()"
    function = connection.scalar(sa.text(named), {"signature": signature})
    default = str(connection.dialect.default_schema_name)
    tables = {_table(table, default): columns for table, columns in wanted.tables.items()}
    if found is not None and found.function != function:
        yield from _ending(name, found)
        found = None
    before = {} if found is None else found.tables
    for table, columns in before.items():
        if table not in tables or _differ(tables[table], columns):
            yield UnwatchTable(table[1], name, table[0], WatchTable(table[1], name, wanted.function, columns, table[0]))
    for table, columns in tables.items():
        if table not in before or _differ(before[table], columns):
            yield WatchTable(table[1], name, wanted.function, columns, table[0])


def _ending(name: str, found: _Found) -> Iterator[MigrateOperation]:
    if found.shapes is not None:
        yield UnpublishDocument(name, found.shapes)
        return
    for (schema, table), columns in found.tables.items():
        yield UnwatchTable(table, name, schema, WatchTable(table, name, found.function, columns, schema))


def _differ(one: Sequence[str] | None, other: Sequence[str] | None) -> bool:
    return (None if one is None else set(one)) != (None if other is None else set(other))


def _table(name: str, default: str) -> Table:
    schema, dot, table = name.rpartition(".")
    return (schema if dot else default), table


# ---- what stands in the migration


def _render(context: AutogenContext, operation: MigrateOperation) -> str:
    context.imports.add("from hotconfig import migrations")
    return code(operation)


for _operation in (WatchTable, UnwatchTable, PublishDocument, UnpublishDocument):
    renderers.dispatch_for(_operation)(_render)


def code(operation: MigrateOperation) -> str:
    """The operation as a line of a migration, or some."""
    match operation:
        case PublishDocument():
            return f"op.publish_document({operation.name!r}, {_expression(operation.shapes)})"
        case UnpublishDocument():
            return f"op.unpublish_document({operation.name!r})"
        case WatchTable():
            columns = "" if operation.columns is None else f", columns={list(operation.columns)!r}"
            return f"op.watch_table({_watched(operation)}, function={operation.function!r}{columns})"
        case UnwatchTable():
            return f"op.unwatch_table({_watched(operation)})"
    raise TypeError(f"{operation} is no operation of hotconfig's")


def _watched(operation: WatchTable | UnwatchTable) -> str:
    where = "" if operation.table_schema is None else f", table_schema={operation.table_schema!r}"
    return f"{operation.table!r}{where}, publishes={operation.publishes!r}"


def _expression(shapes: Shapes) -> str:
    if not isinstance(shapes, Mapping):
        return _call(shapes)
    pairs = "".join(f"    {key!r}: {_call(shape)},\n" for key, shape in shapes.items())
    return f"{{\n{pairs}}}"


def _call(shape: Shape) -> str:
    given = []
    for each in fields(shape):
        value: Any = getattr(shape, each.name)
        plain = value if isinstance(value, str | None) else dict(value) if isinstance(value, Mapping) else list(value)
        if each.default is MISSING and each.default_factory is MISSING:
            given.append(repr(plain))
        elif plain and plain != each.default:
            given.append(f"{each.name}={plain!r}")
    return f"migrations.{type(shape).__name__}({', '.join(given)})"
