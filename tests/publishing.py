"""Tables of an application, and their document."""

from __future__ import annotations

from typing import Any

import psycopg
from watching import engine

from hotconfig.migrations import publish_document, unpublish_document

TABLES = """
    CREATE TABLE settings (key text PRIMARY KEY, value jsonb, secret text DEFAULT 'hush');
    INSERT INTO settings VALUES ('top_k', '5'), ('model', '"small"'), ('limits', '{"a": [1, null]}');
    CREATE TABLE tones (type text NOT NULL, tone text, weight numeric, is_default bool, used int DEFAULT 0);
    INSERT INTO tones VALUES ('blog', 'calm', 1.50, true), ('email', NULL, 2, true), ('blog', 'loud', 3, false);
"""
DEFAULT = {"is_default": True}
SHAPE = "SELECT count(*) FROM pg_proc WHERE proname = config_shape_name('own')"


def publish(owner: psycopg.Connection, shapes: Any, name: str = "own") -> None:
    with engine(owner).begin() as connection:
        publish_document(connection, name, shapes)


def unpublish(owner: psycopg.Connection, name: str = "own") -> None:
    with engine(owner).begin() as connection:
        unpublish_document(connection, name)
