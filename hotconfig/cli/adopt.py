"""adopt: a table that exists becomes hot."""

from __future__ import annotations

from typing import Annotated

import typer

from hotconfig import conninfo
from hotconfig.cli import options, output
from hotconfig.cli.app import verb


@verb("hotconfig adopt settings --publishes app")
def adopt(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Yours, as it is; or SCHEMA.TABLE.")],
    *,
    publishes: Annotated[str, typer.Option(metavar="NAME", help="The document, for Client(document=NAME).")],
    key: Annotated[
        str | None, typer.Option(metavar="A,B", help="Publish rows by this key (default: the shortest, texts first)")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="What is published of a row (default: everything but the key)")
    ] = None,
    function: Annotated[
        str | None, typer.Option(metavar="NAME", help="A SQL function of yours that makes the document instead.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print SQL for psql instead of a migration for Alembic.")] = False,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Print the migration that publishes a table of yours; nothing is changed."""
    # Late: Alembic takes as long to load as all else, and the other verbs need none.
    from hotconfig._adopt import adoption

    if key is not None and function is not None:
        raise ValueError("--key is for the shapes that hotconfig makes: leave out --key or --function")
    place = conninfo.schema_name(schema)
    adopted = adoption(
        database,
        table,
        publishes=publishes,
        key=_listed(key),
        columns=_listed(columns),
        function=function,
        schema=None if place == "public" else place,
    )
    text = adopted.sql(place) if sql else adopted.migration()
    if as_json:
        output.print_json({"document": publishes, "table": table, "sql" if sql else "migration": text})
    else:
        output.raw(text.rstrip("\n"))


def _listed(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]
