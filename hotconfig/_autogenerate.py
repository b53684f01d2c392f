"""Alembic's autogenerate and `alembic check` see what is published: a forgotten trigger is a difference.

What should be published stands in the metadata: `MetaData(info={"hotconfig": {"talker": ...}})`, to each document's
name its shapes, as `publish_document` takes them, or a `Function`; a table that names no schema is in the metadata's.
What is not declared there is left alone, unless all of its tables are the metadata's.

It works as Alembic's manual has it ("Autogenerating Custom Operation Directives"), in every env.py that imports
`hotconfig.migrations`. hotconfig's own tables, which would be dropped as unknown, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AlterColumnOp,
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.util import DispatchPriority
from psycopg.sql import Identifier
from sqlalchemy.dialects.postgresql.base import ischema_names

from hotconfig._published import PublishDocument, UnpublishDocument, dumps, loads
from hotconfig._shapes import Shapes, check, matters, parts
from hotconfig._shipped import split, text
from hotconfig._watched import UnwatchTable, WatchTable, signature
from hotconfig.conninfo import schema_name
from hotconfig.errors import Unavailable
from hotconfig.models import Base

# Or SQLAlchemy warns of hotconfig's own tables, which Alembic reads before they are left out.
ischema_names.setdefault("xid8", sa.BigInteger)

OWN = {*Base.metadata.tables, "config_state", "config_dirty", "hotconfig_alembic_version"}
INSTALLATIONS = """
    SELECT nspname FROM pg_namespace n
    WHERE 2 = (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid AND relname IN ('config_state', 'config_dirty'))
"""
VISIBLE = """
    SELECT relname, nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)
"""
FUNCTION = """
    SELECT nspname || '.' || proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE p.oid = to_regprocedure(:signature)
"""
# Of each document: its function and that function's comment, null if it is gone; the tables whose triggers all fire,
# with the columns that matter; the tables that have one of the triggers at least.
FOUND = """
    SELECT s.document, f.name, obj_description(f.oid, 'pg_proc'),
           (SELECT jsonb_agg(jsonb_build_array(n.nspname, c.relname, w.value))
            FROM jsonb_each({schema}.config_watched(s.document)) AS w
            JOIN pg_class c ON c.oid = w.key::regclass JOIN pg_namespace n ON n.oid = relnamespace),
           (SELECT jsonb_agg(DISTINCT jsonb_build_array(n.nspname, c.relname))
            FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace
            WHERE tgname = ANY ({schema}.config_trigger_names(s.document)))
    FROM (SELECT DISTINCT document, function FROM {schema}.config_sources WHERE document <> 'profile/*') AS s
    LEFT JOIN LATERAL (
        SELECT p.oid, nspname || '.' || proname AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE p.oid = to_regprocedure(s.function)) AS f ON true
    ORDER BY s.document
"""

Table: TypeAlias = tuple[str, str]
"""Schema and name."""
Columns: TypeAlias = frozenset[str] | None


@dataclass(frozen=True)
class Function:
    """A document that a function of your own builds.

    Attributes:
        function: its name, or `schema.name`.
        tables: those that it reads, each by its name or `schema.name`, with the columns that matter; None: all.
    """

    function: str
    tables: Mapping[str, Sequence[str] | None]


Declared: TypeAlias = Shapes | Function


@dataclass(frozen=True)
class _Found:
    """A document that is watched."""

    function: str | None
    comment: str | None
    watched: Mapping[Table, Columns]
    touched: frozenset[Table]

    @property
    def shapes(self) -> Shapes | None:
        """None: the function is not hotconfig's."""
        try:
            return loads(self.comment or "")
        except (ValueError, TypeError, LookupError, AttributeError):  # a comment of somebody else's
            return None


class _Catalog:
    """What the names of a metadata mean in this database; `schema` is hotconfig's."""

    def __init__(self, connection: sa.Connection, schema: str) -> None:
        self.schema = schema
        self._connection = connection
        self._default = str(connection.dialect.default_schema_name)
        self._visible = {each.relname: each.nspname for each in connection.execute(sa.text(VISIBLE))}
        self.installations = set(connection.scalars(sa.text(INSTALLATIONS)))

    def table(self, schema: str | None, name: str) -> Table:
        return schema or self._visible.get(name, self._default), name

    def shortened(self, table: Table) -> str | None:
        """The schema that a migration has to name."""
        return None if self.table(None, table[1]) == table else table[0]

    def function(self, name: str) -> str | None:
        found: str | None = self._connection.scalar(sa.text(FUNCTION), {"signature": signature(name)})
        return found

    def documents(self) -> dict[str, _Found]:
        query = FOUND.format(schema=Identifier(self.schema).as_string())
        return {
            name: _Found(
                function,
                comment,
                {(where, table): _set(columns) for where, table, columns in watched or ()},
                frozenset((where, table) for where, table in touched or ()),
            )
            for name, function, comment, watched, touched in self._connection.execute(text(query))
        }


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade_ops: UpgradeOps, _schemas: object) -> None:
    """End what is not published any more before everything else, and publish behind it."""
    assert context.connection is not None
    catalog = _Catalog(context.connection, schema_name(None))
    given = context.metadata if isinstance(context.metadata, Sequence) else [context.metadata]
    metadatas = [each for each in given if each is not None]
    known = {catalog.table(each.schema, each.name) for metadata in metadatas for each in metadata.tables.values()}
    own = {(where, table) for where in catalog.installations for table in OWN} - known
    upgrade_ops.ops[:] = [each for each in upgrade_ops.ops if own.isdisjoint(_tables(each, catalog))]
    if not any("hotconfig" in metadata.info for metadata in metadatas):
        return
    if catalog.schema not in catalog.installations:
        raise Unavailable(f"schema {catalog.schema!r} has no tables of hotconfig. Next: `hotconfig migrate`.")
    declared: dict[str, Declared] = {}
    for metadata in metadatas:
        for name, wanted in metadata.info.get("hotconfig", {}).items():
            declared[name] = _placed(wanted, metadata.schema)
    dropped = {each for drop in upgrade_ops.ops if isinstance(drop, DropTableOp) for each in _tables(drop, catalog)}
    broken = dropped | {each for change in upgrade_ops.ops if _breaks(change) for each in _tables(change, catalog)}
    found = catalog.documents()
    begun: list[PublishDocument | WatchTable] = []
    ended: list[UnpublishDocument | UnwatchTable] = []
    for name, document in found.items():
        if name not in declared and document.touched and document.touched <= known | dropped:
            ended += _ending(name, document, catalog)
    for name, wanted in declared.items():
        if isinstance(wanted, Function):
            ending, beginning = _by_function(name, wanted, found.get(name), catalog)
            begun += beginning
        else:
            ending, publishing = _by_shapes(name, wanted, found.get(name), catalog, broken)
            begun += publishing
        ended += ending
    for each in (*ended, *begun):
        each.schema = None if catalog.schema == "public" else catalog.schema
    upgrade_ops.ops[:] = [*ended, *upgrade_ops.ops, *begun]


def _placed(wanted: Declared, schema: str | None) -> Declared:
    """With tables that name no schema in the metadata's. Raises ValueError, as `check` does."""
    if isinstance(wanted, Function):
        tables = {
            table if schema is None or "." in table else f"{schema}.{table}": wanted.tables[table]
            for table in wanted.tables
        }
        return replace(wanted, tables=tables)
    check(wanted)
    if isinstance(wanted, Mapping):
        return {key: replace(shape, schema=shape.schema or schema) for key, shape in wanted.items()}
    return replace(wanted, schema=wanted.schema or schema)


def _tables(operation: MigrateOperation, catalog: _Catalog) -> set[Table]:
    if isinstance(operation, DropTableOp | ModifyTableOps):
        return {catalog.table(operation.schema, operation.table_name)}
    return set()


def _breaks(operation: MigrateOperation) -> bool:
    """Whether PostgreSQL refuses it on a column that a function reads."""
    return isinstance(operation, ModifyTableOps) and any(
        isinstance(each, DropColumnOp) or (isinstance(each, AlterColumnOp) and each.modify_type is not None)
        for each in operation.ops
    )


def _by_shapes(
    name: str, wanted: Shapes, found: _Found | None, catalog: _Catalog, broken: set[Table]
) -> tuple[Iterable[UnpublishDocument | UnwatchTable], Iterable[PublishDocument]]:
    if found is None:
        return (), [PublishDocument(name, wanted)]
    columns: dict[Table, frozenset[str]] = {}
    for each in parts(wanted):
        table = catalog.table(each.schema, each.table)
        columns[table] = columns.get(table, frozenset()) | frozenset(matters(each))
    if found.comment == dumps(wanted, catalog.schema) and found.watched == columns and broken.isdisjoint(columns):
        return (), ()
    return _ending(name, found, catalog), [PublishDocument(name, wanted)]


def _by_function(
    name: str, wanted: Function, found: _Found | None, catalog: _Catalog
) -> tuple[Iterable[UnpublishDocument | UnwatchTable], Iterable[WatchTable]]:
    watches = {}
    for table, columns in wanted.tables.items():
        where, named = split(table)
        watch = WatchTable(named, publishes=name, function=wanted.function, columns=columns, table_schema=where)
        watches[catalog.table(where, named)] = watch
    if found is None:
        return (), watches.values()
    if found.function is None or found.function != catalog.function(wanted.function):
        return _ending(name, found, catalog), watches.values()
    right = {
        table
        for table, watch in watches.items()
        if table in found.watched and found.watched[table] == _set(watch.columns)
    }
    return (
        _ending(name, found, catalog, found.touched - right),
        [watch for table, watch in watches.items() if table not in right],
    )


def _ending(
    name: str, found: _Found, catalog: _Catalog, tables: frozenset[Table] | None = None
) -> Iterator[UnpublishDocument | UnwatchTable]:
    if found.shapes is not None:
        yield UnpublishDocument(name, found.shapes)
        return
    for table in sorted(found.touched if tables is None else tables):
        columns = found.watched.get(table)
        before = WatchTable(
            table[1],
            publishes=name,
            function=found.function or "",
            columns=None if columns is None else sorted(columns),
            table_schema=catalog.shortened(table),
        )
        yield UnwatchTable(table[1], publishes=name, table_schema=before.table_schema, before=before)


def _set(columns: Sequence[str] | None) -> Columns:
    return None if columns is None else frozenset(columns)
