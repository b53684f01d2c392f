"""What the tests of readers share: somebody who edits, and waiting for what other threads and processes do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg.abc import Params
from psycopg.sql import SQL, Composed

FOREVER = 1000
"""A heartbeat that never comes: what arrives was announced."""


def eventually(true: Callable[[], object], timeout: float = 40.0) -> None:
    """Poll until it is true; fail when that takes longer than any test should."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"not true within {timeout:g} s"
        time.sleep(0.005)


others: list[threading.Thread] = []  # that other tests may have left, about to end


def threads() -> list[threading.Thread]:
    """Of the library's, those that this test has started."""
    started = [thread for thread in threading.enumerate() if thread not in others]
    return [thread for thread in started if thread.name.startswith("hotconfig")]


class Editor:
    """A superuser's session, as that of psql; every call is a transaction."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def run(self, sql: LiteralString | SQL | Composed, params: Params | None = None) -> None:
        self.connection.execute(sql, params)

    def ask(self, sql: LiteralString | SQL | Composed, params: Params | None = None) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(sql, params).fetchone()
        return row[0] if row else None

    def temperature(self, temperature: float) -> int:
        """Set it for all profiles; the version that this made."""
        self.run("UPDATE config_ai_infra SET llm_temperature = %s", [temperature])
        return self.version()

    def tokens(self, tokens: int) -> int:
        """Set the most tokens of all profiles; the version that this made."""
        self.run("UPDATE config_ai_infra SET llm_max_tokens = %s", [tokens])
        return self.version()

    def publish(self, document: str, json: str | None) -> int:
        """Publish a document that is no profile; the version that this made."""
        self.run("SELECT config_publish(%s, %s)", [document, json])
        return self.version()

    def version(self) -> int:
        return int(self.ask("SELECT version FROM config_state"))

    def readers(self) -> list[int]:
        """The backends of this database's readers."""
        rows = self.connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'hotconfig%' ORDER BY pid"
        )
        return [row[0] for row in rows]

    def registry(self) -> list[str]:
        """How the readers of this database announce themselves."""
        rows = self.connection.execute(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'hotconfig%' ORDER BY 1"
        )
        return [row[0] for row in rows]

    def acknowledged(self, version: int) -> bool:
        """Whether all readers have announced that they have seen it."""
        return all(name.startswith(f"hotconfig:{version}:") for name in self.registry())

    def settled(self) -> None:
        """Wait until all readers have seen what there is, and wait for more."""
        eventually(partial(self.acknowledged, self.version()))

    def terminate(self) -> None:
        """End the sessions of all readers, as a failover or an administrator does."""
        self.run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'hotconfig%'"
        )
