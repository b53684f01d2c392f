"""The command line: `listing-genie run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import hotconfig
import typer
from hotconfig import embedded

cli = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@cli.callback()
def listing_genie() -> None:
    """Images for a product's listing."""


@cli.command()
def run(
    *,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="HOTCONFIG_DATABASE_URL",
            metavar="URL",
            help="Where the settings are. Default: a PostgreSQL of its own, in --data.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A directory for all that it keeps. Default: in the user's data directory.")
    ] = None,
    port: Annotated[int, typer.Option(help="On loopback; 0: any that is free.")] = 8000,
) -> None:
    """Migrate, seed and serve until Ctrl-C."""
    from listing_genie.run import serve

    serve(database, (data or embedded.directory("listing-genie")).absolute(), port)


def main() -> None:
    """Say what is wrong in one line."""
    try:
        cli()
    except (hotconfig.HotConfigError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
