"""What it takes to publish a table that exists: a migration for Alembic, or the same as SQL."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic.util import rev_id

from hotconfig import migrations
from hotconfig._autogenerate import code
from hotconfig._published import PublishDocument, publish_sql
from hotconfig._shapes import KeyValue, Rows, RowsByKey, Shapes
from hotconfig._watched import WatchTable, watch_sql
from hotconfig.conninfo import Conninfo

MIGRATION = '''\
"""Publish {document}."""

from alembic import op{imported}

revision = {revision!r}
down_revision = {follows!r}


# What is named here is published to every process, and stands in the history.
def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


@dataclass(frozen=True)
class Adoption:
    """How a table is published.

    Attributes:
        operation: what does it.
        follows: the newest revisions of the database's own migrations, as `down_revision` has them.
    """

    operation: PublishDocument | WatchTable
    follows: str | tuple[str, ...] | None

    def migration(self) -> str:
        """A file for alembic/versions; env.py has to import `hotconfig.migrations`."""
        publishes = isinstance(self.operation, PublishDocument)
        return MIGRATION.format(
            document=self.operation.name if isinstance(self.operation, PublishDocument) else self.operation.publishes,
            imported="\nfrom hotconfig import migrations" if publishes else "",
            revision=rev_id(),
            follows=self.follows,
            upgrade=textwrap.indent(code(self.operation), "    "),
            downgrade=textwrap.indent(code(self.operation.reverse()), "    "),
        )

    def sql(self, schema: str) -> str:
        """The same for psql, as the owner of the table; `schema` is hotconfig's."""
        if isinstance(self.operation, PublishDocument):
            statements = [*publish_sql(self.operation.name, self.operation.shapes, schema)]
        else:
            statements = [watch_sql(self.operation, schema)]
        return "".join(f"{each};\n" for each in ["BEGIN", *statements, "COMMIT"])


def adoption(
    conninfo: Conninfo | None,
    table: str,
    *,
    publishes: str,
    key: str | None = None,
    columns: Sequence[str] | None = None,
    function: str | None = None,
) -> Adoption:
    """How this table would be published: a table of settings as an object, rows by their key, else a list of rows.

    Raises:
        ValueError: there is no such table, or no such column.
        Unavailable: the server cannot be reached.
    """
    with migrations.connect(conninfo) as connection:
        inspector = sa.inspect(connection)
        schema, name = _table(inspector, table)
        there = [column["name"] for column in inspector.get_columns(name, schema)]
        primary = inspector.get_pk_constraint(name, schema)["constrained_columns"]
        follows = _revisions(connection, inspector)
    for each in [*(columns or ()), *([] if key is None else [key])]:
        if each not in there:
            raise ValueError(f"{table} has no column {each!r}: there are {', '.join(there)}")
    if function is not None:
        return Adoption(WatchTable(name, publishes, function, columns, schema), follows)
    shapes = _shapes(name, schema, there, [key] if key else primary, columns)
    return Adoption(PublishDocument(publishes, shapes), follows)


def _shapes(
    table: str, schema: str | None, there: Sequence[str], key: Sequence[str], columns: Sequence[str] | None
) -> Shapes:
    others = columns or [column for column in there if column not in key]
    if len(key) == 1 and ("value" in others or len(others) == 1):
        return KeyValue(table, key[0], "value" if "value" in others else others[0], schema=schema)
    if len(key) == 1 and others:
        return {table: RowsByKey(table, key[0], others, schema=schema)}
    return {table: Rows(table, columns or there, key, schema=schema)}


def _table(inspector: sa.Inspector, table: str) -> tuple[str | None, str]:
    schema, dot, name = table.partition(".")
    if inspector.has_table(table):
        return None, table
    if dot and inspector.has_table(name, schema):
        return schema, name
    near = difflib.get_close_matches(table, inspector.get_table_names(), 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"there is no table {table!r}, or it is in no schema of the search_path: name it SCHEMA.TABLE.{meant}"
    )


def _revisions(connection: sa.Connection, inspector: sa.Inspector) -> str | tuple[str, ...] | None:
    if not inspector.has_table("alembic_version"):
        return None
    found = connection.scalars(sa.text("SELECT version_num FROM alembic_version ORDER BY 1")).all()
    return tuple(found) if len(found) > 1 else next(iter(found), None)
