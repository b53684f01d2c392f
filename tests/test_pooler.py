"""A real PgBouncer in front of the server: session mode is as good as none, transaction mode swallows notifications."""

from __future__ import annotations

import logging
from collections.abc import Callable

import psycopg
import pytest
from editing import Editor

from hotconfig import Client


def test_session_mode_is_live(pooler: Callable[[str], str], editor: Editor) -> None:
    """The session is the client's own: what is announced arrives, though no heartbeat comes."""
    with Client(pooler("session"), heartbeat=1000) as client:
        assert client.status().state == "live"
        for temperature in (0.1, 0.2):
            assert client.wait_for(editor.temperature(temperature)).ai_infra.llm_temperature == temperature


def test_transaction_mode_is_polled(
    pooler: Callable[[str], str], editor: Editor, caplog: pytest.LogCaptureFixture
) -> None:
    """It is found out at the start: edits arrive at the next heartbeat, one warning names cause and remedy."""
    with caplog.at_level(logging.INFO), Client(pooler("transaction"), heartbeat=0.1) as client:
        assert client.status().state == "polling"
        assert client.status().healthy
        for temperature in (0.1, 0.2):
            assert client.wait_for(editor.temperature(temperature)).ai_infra.llm_temperature == temperature
        editor.terminate()
        client.wait_for(editor.temperature(0.3), timeout=20)
    (warning,) = [each.getMessage() for each in caplog.records if "polling" in each.getMessage()]
    assert "transaction mode swallows notifications" in warning
    assert "pool in session mode" in warning


def test_nothing_is_left_in_a_shared_session(pooler: Callable[[str], str], editor: Editor) -> None:
    """Others who are given the same session find their own settings, and listen to nothing."""
    url = pooler("transaction")

    def found() -> tuple[object, ...]:
        with psycopg.connect(url, autocommit=True, application_name="another") as other:
            row = other.execute("""
                SELECT current_setting('statement_timeout'), current_setting('idle_session_timeout'),
                       current_setting('tcp_user_timeout'), current_setting('application_name'),
                       (SELECT count(*) FROM pg_listening_channels()), pg_backend_pid()
            """).fetchone()
        assert row is not None
        return row

    before = found()
    with Client(url, heartbeat=0.05) as client:
        client.wait_for(editor.temperature(0.1))
        assert found() == before
    # Without the pid: closing in the middle of a heartbeat costs the pooler that session.
    assert found()[:-1] == before[:-1]
