"""The command line: `youtube-talker run`."""

from __future__ import annotations

from typing import Annotated

import hotconfig
import typer
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.callback()
def talker() -> None:
    """Write posts from the transcripts of videos."""


@cli.command()
def run(
    *,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="HOTCONFIG_DATABASE_URL", metavar="URL", help="Default: a PostgreSQL that is started for it."
        ),
    ] = None,
) -> None:
    """Answer a question, and again at each edit, until Ctrl-C."""
    from youtube_talker.run import run

    run(database)


def main() -> None:
    """Say what is wrong in one line."""
    try:
        cli()
    except (hotconfig.HotConfigError, CommandError, DBAPIError, ValueError, OSError) as error:
        what = error.orig if isinstance(error, DBAPIError) else error  # without the statement
        raise SystemExit(f"error: {' '.join(str(what).split())}") from None


if __name__ == "__main__":
    main()
