"""What it takes to publish a table that exists: a migration for Alembic, or the same as SQL."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic.util import rev_id

from hotconfig import migrations
from hotconfig._content import ACTIVE, PROFILE
from hotconfig._published import PublishDocument, publish_sql
from hotconfig._rendered import code
from hotconfig._shapes import KeyValue, Rows, RowsByKey, Shapes
from hotconfig._shipped import qualified, split
from hotconfig._watched import WatchTable, signature, watch_sql
from hotconfig.conninfo import Conninfo

MIGRATION = """\
# What is named here is published to every process, and stands in the history.

from alembic import op
{imported}

revision = {revision!r}
down_revision = {follows!r}{hint}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
"""

# Its columns, and its keys: those of one column first, of these texts, which mean something to whoever reads them.
TABLE = """
    SELECT relkind = 'r',
           ARRAY(SELECT attname::text FROM pg_attribute
                 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
           (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY cardinality(k), word DESC, indisprimary DESC, k), '[]')
            FROM (SELECT indisprimary, array_agg(attname::text ORDER BY place) AS k, bool_and(typcategory = 'S') AS word
                  FROM pg_index i, unnest(indkey::smallint[]) WITH ORDINALITY AS u (n, place)
                  JOIN pg_attribute a ON attnum = n JOIN pg_type t ON t.oid = atttypid
                  WHERE indrelid = c.oid AND attrelid = c.oid AND place <= indnkeyatts
                    AND indisunique AND indpred IS NULL AND indexprs IS NULL
                  GROUP BY indexrelid, indisprimary) AS keys)
    FROM pg_class c WHERE c.oid = to_regclass(:name)
"""
VISIBLE = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
READABLE = "SELECT coalesce(has_table_privilege(to_regclass('alembic_version'), 'SELECT'), false)"


@dataclass(frozen=True)
class Adoption:
    """How a table is published.

    Attributes:
        operation: what does it.
        follows: the newest revision of the database's own migrations; None: there is none, or there are several.
    """

    operation: PublishDocument | WatchTable
    follows: str | None

    def migration(self) -> str:
        """A file for alembic/versions."""
        publishes = isinstance(self.operation, PublishDocument)
        return MIGRATION.format(
            imported="from hotconfig import migrations"
            if publishes
            else "import hotconfig.migrations  # noqa: F401  # op.watch_table",
            revision=rev_id(),
            follows=self.follows,
            hint="" if self.follows else "  # the newest revision of yours",
            upgrade=textwrap.indent(code(self.operation), "    "),
            downgrade=textwrap.indent(code(self.operation.reverse()), "    "),
        )

    def sql(self, schema: str) -> str:
        """The same for psql; `schema` is hotconfig's."""
        operation = self.operation
        if isinstance(operation, PublishDocument):
            statement = publish_sql(operation.name, operation.shapes, schema)
        else:
            statement = watch_sql(operation, schema)
        return f"-- As a role that owns the table, and is a member of hotconfig_owner.\n{statement};\n"


def adoption(
    conninfo: Conninfo | None,
    table: str,
    *,
    publishes: str,
    key: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    function: str | None = None,
    schema: str | None = None,
) -> Adoption:
    """How this table would be published: a table of settings as an object, rows by their key, else a list of rows.

    The key is one that is unique: of one column if there is one, of these a text.

    Raises:
        ValueError: there is no such table, column or function, or the document cannot be called so.
        Unavailable: the server cannot be reached.
    """
    if not publishes.strip() or publishes == ACTIVE or publishes.startswith(PROFILE):
        raise ValueError(f'a document of your own cannot be called {publishes!r}: "active" and "profile/..." are taken')
    with migrations.connect(conninfo) as connection:
        row = connection.execute(sa.text(TABLE), {"name": qualified(table, None)}).one_or_none()
        table_schema, name = None, table
        if row is None:
            table_schema, name = split(table)
            row = connection.execute(sa.text(TABLE), {"name": qualified(name, table_schema)}).one_or_none()
        if row is None:
            raise _unknown(table, connection.scalars(sa.text(VISIBLE)).all())
        ordinary, there, unique = row
        known = function is None or connection.scalar(
            sa.text("SELECT to_regprocedure(:f)::oid"), {"f": signature(function)}
        )
        readable = connection.scalar(sa.text(READABLE))
        newest = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all() if readable else []
    if not ordinary:
        raise ValueError(f"{table} is no ordinary table: watch the tables that it is made of, with a function of yours")
    if not known:
        raise ValueError(f"there is no function {signature(function or '')}, or it takes arguments")
    for each in [*(columns or ()), *(key or ())]:
        if each not in there:
            raise ValueError(f"{table} has no column {each!r}: there are {', '.join(there)}")
    if key is not None and set(key) not in map(set, unique):
        named = ", ".join(key)
        raise ValueError(f"{table} has no unique index on {named}, and two rows for a key are refused: leave out --key")
    follows = newest[0] if len(newest) == 1 else None
    if function is not None:
        watch = WatchTable(
            name, publishes=publishes, function=function, columns=columns, table_schema=table_schema, schema=schema
        )
        return Adoption(watch, follows)
    first = key or next(iter(unique), None)
    if first is None:
        shapes: Shapes = {name: Rows(name, columns or there, schema=table_schema)}
    else:
        shapes = _by_key(name, table_schema, first, there, columns)
    return Adoption(PublishDocument(publishes, shapes, schema), follows)


def _by_key(
    table: str, schema: str | None, key: Sequence[str], there: Sequence[str], columns: Sequence[str] | None
) -> Shapes:
    others = columns or [column for column in there if column not in key]
    of_one = key[0] if len(key) == 1 else key
    if len(others) == 1:
        return KeyValue(table, of_one, others[0], schema=schema)
    if columns is None and of_one == "key" and "value" in others:
        return KeyValue(table, schema=schema)
    return {table: RowsByKey(table, of_one, others or key, schema=schema)}


def _unknown(table: str, visible: Sequence[str]) -> ValueError:
    near = difflib.get_close_matches(table, visible, 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(
        f"there is no table {table!r}, or it is in no schema of the search_path: name it SCHEMA.TABLE, unquoted.{meant}"
    )
