"""The command line: `optiinfra run`, `seed`, `clear`."""

from __future__ import annotations

from typing import Annotated

import hotconfig
import typer
from alembic.util import CommandError
from hotconfig import embedded
from sqlalchemy.exc import DBAPIError

from optiinfra import database as _database
from optiinfra import run as _run
from optiinfra import seeds

cli = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Database = Annotated[
    str,
    typer.Option(
        envvar="HOTCONFIG_DATABASE_URL",
        metavar="URL",
        default_factory=lambda: f"embedded:{embedded.directory('optiinfra')}",
        show_default="a PostgreSQL of its own",
        help="Where the tables are, or are made.",
    ),
]


@cli.command()
def run(
    *, database: Database, pace: Annotated[float, typer.Option(min=0, help="Seconds between two requests.")] = 0.5
) -> None:
    """Seed, and route requests until Ctrl-C."""
    _run.run(database, pace)


@cli.command()
def seed(*, database: Database) -> None:
    """Insert what is missing of three customers, five agents, three events and three recommendations."""
    with _database.migrated(database) as connection:
        print(f"{seeds.seed(connection)} rows inserted")


@cli.command()
def clear(*, database: Database) -> None:
    """Delete these customers and agents again, with whatever belongs to them."""
    with _database.migrated(database) as connection:
        print(f"{seeds.clear(connection)} customers and agents deleted")


def main() -> None:
    """Say what is wrong in one line."""
    try:
        cli()
    except (hotconfig.HotConfigError, CommandError, DBAPIError, ValueError, OSError) as error:
        what = error.orig if isinstance(error, DBAPIError) else error  # without the statement and its values
        raise SystemExit(f"error: {' '.join(str(what).split())}") from None


if __name__ == "__main__":
    main()
