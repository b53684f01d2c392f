"""What the tests of the database half share: what a session sees, and holding one up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from editing import eventually

Row = tuple[Any, ...]

PATIENCE = 20.0


def value(connection: psycopg.Connection, sql: str, *params: object) -> Any:
    """The first column of the first row."""
    row = connection.execute(sql, params or None).fetchone()
    assert row is not None
    return row[0]


def version(connection: psycopg.Connection) -> int:
    return int(value(connection, "SELECT version FROM config_state"))


def document(connection: psycopg.Connection, name: str = "active") -> Any:
    """What readers of this name load; None for a tombstone."""
    return value(connection, "SELECT document FROM config_documents WHERE name = %s", name)


def history(connection: psycopg.Connection, *columns: str) -> list[Row]:
    """The rows of the newest version, in order; by default document, domain, action."""
    shown = ", ".join(columns or ("document", "domain", "action"))
    newest = "(SELECT max(version) FROM config_history)"
    return connection.execute(f"SELECT {shown} FROM config_history WHERE version = {newest} ORDER BY id").fetchall()


def add_profile(connection: psycopg.Connection, name: str, *, is_default: bool = False) -> int:
    """A profile with all four settings, in one statement."""
    sql = """
        WITH p AS (INSERT INTO config_profiles (name, is_default) VALUES (%s, %s) RETURNING id),
             a AS (INSERT INTO config_ai_infra (profile_id, llm_endpoint, llm_temperature, llm_max_tokens)
                   SELECT id, 'endpoint', 0.5, 100 FROM p),
             g AS (INSERT INTO config_genie_spaces (profile_id, space_id, space_name) SELECT id, 's', 'S' FROM p),
             m AS (INSERT INTO config_mlflow (profile_id, experiment_name) SELECT id, '/x' FROM p),
             t AS (INSERT INTO config_prompts (profile_id, system_prompt, slide_editing_instructions,
                                               user_prompt_template) SELECT id, 'p', 'e', '{question}' FROM p)
        SELECT id FROM p
    """
    return int(value(connection, sql, name, is_default))


@contextmanager
def blocked(connection: psycopg.Connection, action: Callable[[], object]) -> Iterator[Future[object]]:
    """Run `action`, a use of `connection`, in a thread; the body begins when another session's lock holds it up."""
    holder = "SELECT cardinality(pg_blocking_pids(%s))"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(connection.info.dsn, autocommit=True) as observer:
        done = pool.submit(action)
        try:
            eventually(lambda: done.done() or value(observer, holder, connection.info.backend_pid))
            assert not done.done(), f"nothing held it up: {done.exception()}"
            yield done
        except BaseException:
            connection.cancel_safe()
            raise
