"""What is shipped beside the code: the migrations, and the SQL that they run."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa
from psycopg.sql import Identifier, Literal

from hotconfig.conninfo import channel


def render(name: str, schema: str) -> str:
    """A file of sql/ with the schema filled in."""
    directory = path("sql")
    functions = sorted(
        {
            function
            for file in directory.glob("*.sql")
            for function in re.findall(r"CREATE FUNCTION @extschema@\.(\w+)", file.read_text("utf-8"))
        }
    )
    values: dict[str, Identifier | Literal] = {
        "@extschema@": Identifier(schema),
        "@schema@": Literal(schema),
        "@channel@": Literal(channel(schema)),
        "@functions@": Literal(functions),
    }
    template = (directory / f"{name}.sql").read_text("utf-8")
    return re.sub(r"@\w+@", lambda match: values[match.group()].as_string(), template)


def text(statement: str) -> sa.TextClause:
    # text() takes :name for a parameter wherever it stands, in a string or a cast too.
    return sa.text(statement.replace(":", r"\:"))


def path(name: str) -> Path:
    """alembic/ and sql/ stand at the top of a checkout, and inside the package in a wheel."""
    package = Path(__file__).parent
    inside = package / f"_{name}"
    return inside if inside.is_dir() else package.parent / name


def qualified(table: str, schema: str | None) -> str:
    """A table's name for SQL."""
    return (Identifier(table) if schema is None else Identifier(schema, table)).as_string()


def split(name: str) -> tuple[str | None, str]:
    """Schema and name of `schema.name`; None: it is in the search_path."""
    schema, dot, rest = name.partition(".")
    return (schema, rest) if dot else (None, name)
