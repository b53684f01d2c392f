"""Somebody who edits the default profile again and again."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator

import psycopg

HEARTBEAT = 10.0
"""Seconds; the default of a client."""
BOUND = HEARTBEAT * 1.2 + 1.0
"""Seconds of promise 5, also for an announcement that was missed."""


class Writer:
    """The only one who edits this database: its edits make consecutive versions, each with another document."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        row = connection.execute("SELECT version FROM config_state").fetchone()
        assert row is not None
        self.version = int(row[0])
        """The one that the last edit made."""
        self.first = self.version + 1
        """The one that the first edit makes."""
        self.sent = array("d")
        """When each was sent, on the monotonic clock."""

    def edit(self) -> int:
        """The version that this makes."""
        self.version += 1
        self.sent.append(time.monotonic())
        self._connection.execute("UPDATE config_ai_infra SET llm_max_tokens = %s", [self.version + 1])
        return self.version

    def paced(self, interval: float, seconds: float) -> Iterator[int]:
        """An edit every `interval` seconds, later only if the one before takes longer: the versions they make."""
        began = due = time.monotonic()
        while due < began + seconds:
            yield self.edit()
            now = time.monotonic()
            due = max(due + interval, now)
            time.sleep(due - now)

    def published(self) -> tuple[int, str]:
        """The newest version of the database, and the document as JSON."""
        row = self._connection.execute("""
            SELECT s.version, (d.document || jsonb_build_object('version', d.version))::text
            FROM config_state s, config_documents d WHERE d.name = 'active'
        """).fetchone()
        assert row is not None
        return int(row[0]), str(row[1])
