"""Migrations: hotconfig's own tables, and your tables made hot.

    from hotconfig import migrations

    migrations.upgrade()

This works from an installed wheel; `alembic upgrade head` does the same in a checkout. Alembic keeps hotconfig's
revision in `hotconfig_alembic_version`, so that an application has its own beside it.

Import this module in the env.py of your own migrations, and they can say `op.publish_document(...)`,
`op.unpublish_document(...)`, `op.watch_table(...)` and `op.unwatch_table(...)`, with the arguments below but the
connection. Autogenerate writes them for what your metadata declares, and `alembic check` fails while one is lacking:

    from sqlalchemy import MetaData

    from hotconfig.migrations import KeyValue

    metadata = MetaData(info={"hotconfig": {"talker": {"settings": KeyValue("settings")}}})

`conninfo` and `schema` are as for `Client`.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg.conninfo import make_conninfo

from hotconfig import _rendered, models  # noqa: F401  # registers what Alembic renders
from hotconfig import conninfo as _conninfo
from hotconfig._autogenerate import Function
from hotconfig._published import publish_document, unpublish_document
from hotconfig._refusal import unavailable
from hotconfig._shapes import KeyValue, Rows, RowsByKey
from hotconfig._shipped import path, render, text
from hotconfig._watched import unwatch_table, watch_table
from hotconfig.errors import Unavailable

if TYPE_CHECKING:
    from hotconfig.conninfo import Conninfo

__all__ = [
    "Function",
    "KeyValue",
    "Revision",
    "Rows",
    "RowsByKey",
    "connect",
    "downgrade",
    "publish_document",
    "script",
    "status",
    "unpublish_document",
    "unwatch_table",
    "upgrade",
    "watch_table",
]

logger = logging.getLogger("hotconfig")

VERSION_TABLE = "hotconfig_alembic_version"
ROLES = ("hotconfig_owner", "hotconfig_editor", "hotconfig_reader")

# Whether some are missing, and we may do something about it.
ROLES_TO_CREATE = f"""
    SELECT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
       AND (SELECT count(*) < {len(ROLES)} FROM pg_roles WHERE rolname IN {ROLES})
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """Which revision of hotconfig's tables a database has, and which one this hotconfig brings.

    Attributes:
        current: the database's; None: it is not migrated.
        head: this hotconfig's.
    """

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        """Whether they are the same."""
        return self.current == self.head


def upgrade(conninfo: Conninfo | None = None, *, schema: str | None = None) -> None:
    """Create hotconfig's tables, functions, triggers and roles, or bring them up to date.

    Creates the schema if it is missing. Safe to run from several processes at once: one migrates, the others wait.
    Run again by a role that may create roles, it makes up for those that an earlier one could not create.

    Raises:
        Unavailable: the server cannot be reached, or the role may not create tables there.
        ValueError: the URL is malformed, or the schema's name is one that `schema_name` refuses.
    """
    with _alembic(conninfo, schema) as config:
        command.upgrade(config, "head")
        connection: sa.Connection = config.attributes["connection"]
        if connection.scalar(sa.text(ROLES_TO_CREATE)):
            connection.execute(text(render("roles_v1", schema_name(schema))))


def downgrade(conninfo: Conninfo | None = None, *, schema: str | None = None, revision: str = "base") -> None:
    """Go back to a revision; `base` drops all that hotconfig created, and its data, but not the roles.

    Args:
        conninfo: as for `Client`.
        schema: as for `Client`.
        revision: the one to go back to.

    Raises:
        Unavailable: the server cannot be reached, or tables of yours are still watched (they are named).
        ValueError: there is no such revision, or it is not an earlier one.
    """
    with _alembic(conninfo, schema) as config, _known_revision():
        command.downgrade(config, revision)


def script(*, schema: str | None = None, down: str | None = None) -> str:
    """What `upgrade`, or `downgrade` to the revision `down`, would run, as SQL for a DBA's psql. Connects to nothing.

    Raises:
        ValueError: there is no such revision.
    """
    written = io.StringIO()
    config = Config(output_buffer=written)
    _configure(config, schema)
    with _known_revision():
        if down is None:
            command.upgrade(config, "head", sql=True)
        else:
            command.downgrade(config, f"head:{down}", sql=True)
    return written.getvalue()


def status(conninfo: Conninfo | None = None, *, schema: str | None = None) -> Revision:
    """Which revision the database has, and which one this hotconfig brings.

    Raises:
        Unavailable: the server cannot be reached, or the role may not read the revision.
    """
    opts = {"version_table": VERSION_TABLE, "version_table_schema": schema_name(schema)}
    with connect(conninfo) as connection:
        context = MigrationContext.configure(connection, opts=opts)
        return Revision(current=context.get_current_revision(), head=head())


def head() -> str:
    """The revision that this hotconfig brings."""
    return ScriptDirectory(str(path("alembic"))).get_current_head() or ""


def is_known(revision: str | None) -> bool:
    """Whether this hotconfig has the revision; a newer one has others. None, before the first, is known."""
    known = ScriptDirectory(str(path("alembic"))).walk_revisions()
    return revision is None or revision in {each.revision for each in known}


# What alembic/env.py and its revisions use.


def schema_name(schema: str | None = None) -> str:
    """`hotconfig.conninfo.schema_name()`, less the names that cannot be migrated.

    Raises:
        ValueError: PostgreSQL reserves the name, it is too long for a notification channel, or the SQL files cannot
            hold it: a control character would end a comment, and two dollars in a row a function's body.
    """
    name = _conninfo.schema_name(schema)
    if name.startswith("pg_"):
        raise ValueError(f"schema {name!r}: PostgreSQL reserves names that begin with pg_")
    if "$$" in name or re.search(r"[\x00-\x1f\x7f]", name):
        raise ValueError(f"schema {name!r} has a control character or two dollars in a row")
    return name


@contextmanager
def connect(conninfo: Conninfo | None = None) -> Iterator[sa.Connection]:
    """A connection of SQLAlchemy to wherever hotconfig is configured to be, for `publish_document` and `watch_table`.

    It is closed when it is left; what was not committed is then undone.

    Args:
        conninfo: as for `Client`.

    Raises:
        Unavailable: with a next step: the server is lost, the role may not do this, or a table is still watched.
    """
    target = _conninfo.resolve(conninfo)

    def creator() -> psycopg.Connection:
        try:
            connection = psycopg.connect(make_conninfo("", **target.connect_params()))
        except psycopg.OperationalError as error:
            raise unavailable(str(error), target) from error
        connection.add_notice_handler(_log)
        return connection

    engine = sa.create_engine("postgresql+psycopg://", creator=creator, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        match error.orig:
            case psycopg.errors.InsufficientPrivilege() as refused:
                step = refused.diag.message_hint or (
                    "let a role migrate that owns hotconfig's tables, or may create them in this database and schema"
                )
            case psycopg.errors.DependentObjectsStillExist() as refused:
                step = (
                    "stop watching these tables: op.unpublish_document(), op.unwatch_table(), "
                    "or SELECT config_unwatch_document('document')"
                )
            case psycopg.OperationalError() as refused:
                raise unavailable(str(refused), target) from error
            case _:
                raise
        told = " ".join(filter(None, (refused.diag.message_primary, refused.diag.message_detail)))
        raise Unavailable(f"{' '.join(told.split()).rstrip('.')}. Next: {step.rstrip('.')}.") from error


def _log(notice: psycopg.errors.Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        logger.warning("%s", notice.message_primary)


def prepare(connection: sa.Connection, schema: str) -> None:
    """Refuse what cannot work, let one migration run at a time, and see that the schema exists."""
    if connection.dialect.server_version_info < (14,):  # type: ignore[operator]  # a tuple once connected
        raise unavailable("hotconfig needs PostgreSQL 14 or newer")
    connection.execute(
        sa.text("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(:key, 0))"),
        {"key": f"hotconfig {schema}"},
    )
    exists = connection.scalar(sa.text("SELECT true FROM pg_namespace WHERE nspname = :name"), {"name": schema})
    if not exists:
        connection.execute(sa.schema.CreateSchema(schema))


def include_name(schema: str | None) -> Callable[[str | None, Any, MutableMapping[Any, str | None]], bool]:
    """For Alembic's autogenerate: only hotconfig's own tables."""

    def include(name: str | None, kind: str, _parents: MutableMapping[Any, str | None]) -> bool:
        if kind == "schema":
            return name == schema
        return kind != "table" or name in models.Base.metadata.tables

    return include


@contextmanager
def _alembic(conninfo: Conninfo | None, schema: str | None) -> Iterator[Config]:
    config = Config()
    _configure(config, schema)
    with connect(conninfo) as connection, connection.begin():
        config.attributes["connection"] = connection
        yield config


def _configure(config: Config, schema: str | None) -> None:
    config.set_main_option("script_location", str(path("alembic")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema_name(schema)


@contextmanager
def _known_revision() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise ValueError(f"{error}; `base` is the way back to nothing") from error
