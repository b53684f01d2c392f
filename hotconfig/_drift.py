"""Published documents that are not what their tables say: triggers were bypassed."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.orm import Session, selectinload

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._rows import from_rows
from hotconfig.models import ConfigProfile, config_documents


def drifted_profiles(engine: sa.Engine, patience: str) -> list[str]:
    """The names of published profiles that their rows contradict, `active` included.

    `patience` is the statement_timeout.
    """
    settings = (ConfigProfile.ai_infra, ConfigProfile.genie_space, ConfigProfile.mlflow, ConfigProfile.prompts)
    rows = sa.select(ConfigProfile).options(*map(selectinload, settings))
    ours = (config_documents.c.name == ACTIVE) | config_documents.c.name.startswith(PROFILE)
    documents = sa.select(config_documents.c.name, config_documents.c.document)
    documents = documents.where(ours, config_documents.c.document.is_not(None))
    # One snapshot for both: an edit that is committed in between is no drift.
    reading = engine.execution_options(isolation_level="REPEATABLE READ")
    try:
        with Session(reading) as session:
            session.execute(sa.select(sa.func.set_config("statement_timeout", patience, True)))
            published = {row.name: row.document for row in session.execute(documents)}
            built = {PROFILE + row.name: from_rows(row) for row in session.scalars(rows)}
    finally:
        engine.dispose()
    for document in [each for each in built.values() if each["profile"]["is_default"]]:
        built[ACTIVE] = document
    return sorted(name for name in built.keys() | published.keys() if built.get(name) != published.get(name))


def drifted_documents(connection: psycopg.Connection, schema: str) -> tuple[list[str], dict[str, psycopg.Error]]:
    """The names of your own documents that their functions contradict, and why others could not be built.

    The functions are yours: the caller's transaction is to be read-only.
    """
    sources = connection.execute(
        SQL("SELECT DISTINCT document, function FROM {} WHERE document <> 'profile/*' ORDER BY 1").format(
            Identifier(schema, "config_sources")
        )
    ).fetchall()
    drifted: list[str] = []
    errors: dict[str, psycopg.Error] = {}
    for document, function in sources:
        compare = SQL("SELECT (SELECT document FROM {} WHERE name = %s) IS NOT DISTINCT FROM {}").format(
            Identifier(schema, "config_documents"),
            SQL(function),  # quoted by config_watch(), which stored it
        )
        try:
            with connection.transaction():
                # As when it is published.
                connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
                row = connection.execute(compare, [document]).fetchone()
        except psycopg.Error as error:
            errors[document] = error
        else:
            if row != (True,):
                drifted.append(document)
    return drifted, errors
