"""The tables, brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hotconfig import migrations
from hotconfig.conninfo import Conninfo


@contextmanager
def migrated(conninfo: Conninfo) -> Iterator[sa.Connection]:
    """A transaction where hotconfig's tables and ours are up to date.

    Raises:
        hotconfig.Unavailable: the server cannot be reached, or the role may not create tables there.
        alembic.util.CommandError: the search_path begins nowhere.
    """
    migrations.upgrade(conninfo)
    with migrations.connect(conninfo) as connection:
        with connection.begin():
            command.upgrade(history(connection), "head")
        with connection.begin():
            yield connection


def history(connection: sa.Connection) -> Config:
    """For Alembic's commands, in this transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "optiinfra:migrations")
    config.set_main_option("path_separator", "os")
    return config
