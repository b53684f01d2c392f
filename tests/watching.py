"""What the tests of documents of one's own share: a table of templates, watched with the Python API."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from sessions import document

from hotconfig.migrations import unwatch_table, watch_table

TEMPLATES = """
    CREATE TABLE templates (id int PRIMARY KEY, text text NOT NULL, used int DEFAULT 0);
    INSERT INTO templates VALUES (1, 'one');
    CREATE FUNCTION templates_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT jsonb_build_object('templates', coalesce(jsonb_object_agg(id, text), '{}')) FROM templates $$;
"""


def engine(connection: psycopg.Connection) -> sa.Engine:
    """SQLAlchemy's way to the same database, as the same role."""
    dsn = connection.info.dsn
    return sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=sa.NullPool)


def watch(owner: psycopg.Connection, table: str = "templates", **arguments: object) -> None:
    """`watch_table`, committed; the document is `own`."""
    given = {"publishes": "own", "function": "templates_document", **arguments}
    with engine(owner).begin() as connection:
        watch_table(connection, table, **given)  # type: ignore[arg-type]


def unwatch(owner: psycopg.Connection, table: str = "templates", **arguments: str) -> None:
    with engine(owner).begin() as connection:
        unwatch_table(connection, table, **{"publishes": "own", **arguments})


def templates(owner: psycopg.Connection, name: str = "own") -> object:
    """What is published of them."""
    return document(owner, name)["templates"]
