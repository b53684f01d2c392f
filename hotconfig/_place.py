"""What a check looks at, and what it says."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psycopg

from hotconfig._engine import BEGIN
from hotconfig._shipped import qualified
from hotconfig.conninfo import Target

State = Literal["ok", "warning", "failure"]
Told = tuple[State, str, str]  # state, text, mend
OK: State = "ok"

SETTINGS = ("config_profiles", "config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts")
PATIENCE = "10s"  # for a statement


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    state: State
    text: str
    why: str
    """Why it matters."""
    mend: str
    """The command that mends it; '' if it is ok."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is looked at."""

    connection: psycopg.Connection
    target: Target
    schema: str

    def name(self, table: str) -> str:
        return qualified(table, None if self.schema == "public" else self.schema)

    def command(self, verb: str) -> str:
        return f"hotconfig {verb}" + ("" if self.schema == "public" else f" --schema {shlex.quote(self.schema)}")

    def may(self, privilege: str, *tables: str) -> bool:
        """Whether the session's role has it on all of them."""
        row = self.connection.execute(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AND bool_and(has_table_privilege(c.oid, %s))"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = ANY (%s) GROUP BY n.oid",
            [privilege, self.schema, list(tables)],
        ).fetchone()
        return bool(row and row[0])

    def value(self, statement: str, *params: object) -> object:
        row = self.connection.execute(statement.encode(), params or None).fetchone()
        return row[0] if row else None


Check = Callable[[Place], Told]


def in_transaction(check: Check) -> Check:
    """A check that reads one state of the database, and cannot change it."""

    @functools.wraps(check)
    def checked(place: Place) -> Told:
        with place.connection.transaction():
            place.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            place.connection.execute(BEGIN)
            place.connection.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
            return check(place)

    return checked
