"""Whether a published document fits a model of yours, as a process with that model will find."""

from __future__ import annotations

from contextlib import closing

import psycopg
from psycopg.sql import SQL, Identifier

from hotconfig import conninfo as _conninfo
from hotconfig._content import missing, parse
from hotconfig._engine import connect, translation
from hotconfig._place import OK, Finding
from hotconfig.conninfo import Conninfo
from hotconfig.errors import HotConfigError
from hotconfig.snapshot import Snapshot

WHY = "a process with this model keeps its last snapshot when the document does not fit, or does not start"


def fits(
    model: type[Snapshot], document: str, conninfo: Conninfo | None = None, *, schema: str | None = None
) -> Finding:
    """The finding. Raises ValueError for a malformed argument, and nothing else."""
    target, schema = _conninfo.resolve(conninfo), _conninfo.schema_name(schema)
    # The document itself, as the feed reads it: a number keeps its digits.
    statement = SQL(
        "SELECT (document || pg_catalog.jsonb_build_object('version', version))::text FROM {} WHERE name = %s"
    )
    try:
        with closing(connect(target, autocommit=True)) as connection:
            row = connection.execute(statement.format(Identifier(schema, "config_documents")), [document]).fetchone()
        if row is None or row[0] is None:
            raise missing(document)
        version = parse(model, row[0].encode(), document).version
    except psycopg.Error as error:
        return _failure(f"cannot be checked: {translation(error, target, schema, 'hotconfig_reader')}")
    except HotConfigError as error:
        return _failure(str(error))
    return Finding("model", OK, f"{document} at version {version} fits {model.__qualname__}", WHY, "")


def _failure(text: str) -> Finding:
    text, _, step = text.partition(" Next: ")
    return Finding("model", "failure", text, WHY, step or "change the document, or deploy code that accepts it")
