"""Streaming replication: a primary is preferred, a standby is polled, a promotion ends that."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import psycopg
import pytest
from editing import Editor, eventually
from servers import TEMPLATE, Server, Standby, running

from hotconfig import Client


@pytest.fixture
def standby(own_server: Server) -> Iterator[Standby]:
    with running(own_server) as standby:
        assert isinstance(standby, Standby)
        yield standby


@pytest.fixture
def primary(own_server: Server) -> Iterator[Editor]:
    with psycopg.connect(own_server.url(TEMPLATE), autocommit=True) as connection:
        yield Editor(connection)


def both(standby: Standby) -> str:
    """The standby is named first."""
    return (
        f"host={standby.sockets},{standby.primary.sockets} port={standby.port},{standby.primary.port}"
        f" user=postgres dbname={TEMPLATE}"
    )


def test_the_primary_is_looked_for(standby: Standby, primary: Editor, caplog: pytest.LogCaptureFixture) -> None:
    """Of two hosts the primary is taken; when it is gone the standby is polled; promoted, it is live, and followed."""
    with caplog.at_level(logging.INFO), Client(both(standby), heartbeat=0.1) as client:
        assert client.status().state == "live"
        last = client.wait_for(primary.temperature(0.1))
        lsn = primary.ask("SELECT pg_current_wal_lsn()")
        with psycopg.connect(standby.url(TEMPLATE), autocommit=True) as connection:
            eventually(lambda: Editor(connection).ask("SELECT pg_last_wal_replay_lsn() >= %s", [lsn]))

        standby.primary.stop()
        eventually(lambda: client.status().state == "polling", timeout=40)
        assert client.current() is last
        assert client.status().healthy

        standby.promote()
        eventually(lambda: client.status().state == "live", timeout=40)
        standby.psql(TEMPLATE, "UPDATE config_ai_infra SET llm_temperature = 0.2")
        client.wait_for(until=lambda c: c.ai_infra.llm_temperature == 0.2)
        assert client.status().rewinds == 0
    polling = [each.getMessage() for each in caplog.records if "polling" in each.getMessage()]
    assert len(polling) == 1
    assert "a standby does not pass notifications on" in polling[0]


def test_a_standby_is_polled(standby: Standby, primary: Editor) -> None:
    """With no primary to be had, edits arrive as the standby replays them; one that is behind is no step back."""
    with Client(standby.url(TEMPLATE), heartbeat=0.05) as client:
        assert client.status().state == "polling"
        for temperature in (0.1, 0.2):
            assert client.wait_for(primary.temperature(temperature), timeout=20).ai_infra.llm_temperature == temperature
        assert client.status().rewinds == 0


def test_a_standby_that_lags_is_no_step_back(standby: Standby, primary: Editor) -> None:
    """Coming from the primary to a standby that has not caught up, the newer snapshot serves on."""
    with psycopg.connect(standby.url(TEMPLATE), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        with Client(both(standby), heartbeat=0.05) as client:
            newest = client.wait_for(primary.temperature(0.3))
            standby.primary.stop("immediate")
            eventually(lambda: client.status().state == "polling", timeout=40)
            assert client.current() is newest
            assert client.status().version == newest.version
            assert client.status().rewinds == 0
