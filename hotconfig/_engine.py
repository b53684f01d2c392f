"""The writing side's way to PostgreSQL: an engine of SQLAlchemy, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm.exc import StaleDataError

from hotconfig._refusal import refusal, unavailable
from hotconfig.conninfo import Target
from hotconfig.errors import HotConfigError, InvalidConfig, Unavailable, VersionConflict

CONFLICT = "HC001"  # raised by sql/: the version that an edit was based on is not the newest
# Of each transaction, since behind a pooler the session is everybody's. Else whoever may create functions in a schema
# of the search_path, such as public, could have a better match for an argument's type called with Admin's rights.
BEGIN = """
    SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
           pg_catalog.set_config('lock_timeout', '10s', true)
"""
DEFAULTS = {"connect_timeout": "10", "fallback_application_name": "hotconfig-admin"}


def connect(target: Target, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection, to the primary if there are several hosts. Raises Unavailable."""
    params = {**DEFAULTS, **target.connect_params()}
    if "," in params.get("host", "") + params.get("hostaddr", ""):
        params.setdefault("target_session_attrs", "primary")
    try:
        # Nothing is prepared: older poolers mix up the prepared statements of their clients.
        return psycopg.connect(make_conninfo("", **params), autocommit=autocommit, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise unavailable(str(error), target) from error


def engine(target: Target, schema: str) -> sa.Engine:
    """An engine for the models as they lie in `schema`. Connects when it is used; asks a callable each time."""
    made = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(target),
        pool_pre_ping=True,
        execution_options={"schema_translate_map": {None: schema}},
    )

    @sa.event.listens_for(made, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(BEGIN)

    return made


@contextmanager
def translated(target: Target, schema: str, needs: str) -> Iterator[None]:
    """What the server refuses within, as one of hotconfig's errors; `needs` is the role that may do it."""
    try:
        yield
    except StaleDataError as error:
        raise VersionConflict("somebody deleted the profile at the same time: nothing was saved, look again") from error
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise translation(error.orig, target, schema, needs) from error


def translation(error: psycopg.Error, target: Target, schema: str, needs: str) -> HotConfigError:
    sqlstate = error.sqlstate or ""
    text = " ".join((error.diag.message_primary or str(error)).split())
    hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
    if sqlstate == CONFLICT:
        return VersionConflict(f"{text}.{hint}")
    if sqlstate == "42501":
        return Unavailable(f"cannot use PostgreSQL at {target}: {text}. Next: GRANT {needs} TO the role that connects.")
    if sqlstate == "25006":
        return Unavailable(f"{target} cannot be written to: {text}. Next: connect to the primary.")
    if sqlstate in ("40001", "40P01"):
        return HotConfigError(f"somebody else was editing at the same time ({text}): nothing was saved, try again")
    if error.diag.constraint_name == "config_profiles_name_key":
        return InvalidConfig("there is already a profile of this name: choose another one")
    # No SQLSTATE: psycopg itself refuses the value, such as a text with a NUL.
    if sqlstate[:2] in ("22", "23", "P0") or (not sqlstate and isinstance(error, psycopg.DataError)):
        return InvalidConfig(f"the database refuses it: {text.rstrip('.')}.{hint}")
    return refusal(sqlstate, text, target, schema)


def one_of(column: sa.ColumnElement[str] | InstrumentedAttribute[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether a column has one of these values, in one parameter: of more than 65,535 the server takes none."""
    return column == sa.any_(sa.literal(values, ARRAY(sa.Text)))
