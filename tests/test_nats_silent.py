"""A bucket that answers, and no relay that fills it."""

from __future__ import annotations

import pytest
from editing import Editor, eventually
from nats_servers import Nats
from relays import Running

from hotconfig import Client, Status, _nats

OFTEN = 0.2  # seconds between heartbeats of client and relay


def test_no_relay_is_told(
    database: str, database_name: str, editor: Editor, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot serves on, stale; and is live again as soon as a relay is."""
    monkeypatch.setattr(_nats, "SILENT", 5 * OFTEN)
    to = f"{nats_server.url}/{database_name}"
    relaying = Running(database, to, OFTEN)
    eventually(lambda: relaying.relay.relayed == editor.version())
    with Client(to, heartbeat=OFTEN) as client:
        relaying.stop()
        eventually(lambda: client.status().state == "stale")
        assert "no relay has put anything there for" in str(client.status().error)
        version = editor.temperature(0.3)

        relaying = Running(database, to, OFTEN)

        assert client.wait_for(version, timeout=20).ai_infra.llm_temperature == 0.3
        eventually(lambda: client.status().healthy)
        assert client.status().reconnects == 1
    relaying.stop()
    nats_server.delete(database_name)


def test_a_relay_that_has_nothing_to_say(
    database: str, database_name: str, editor: Editor, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat is enough: nobody is stale for want of edits."""
    monkeypatch.setattr(_nats, "SILENT", 5 * OFTEN)
    to = f"{nats_server.url}/{database_name}"
    relaying = Running(database, to, OFTEN)
    eventually(lambda: relaying.relay.relayed == editor.version())
    seen: set[Status] = set()
    with Client(to, heartbeat=OFTEN) as client:

        def some() -> bool:
            seen.add(client.status())
            return len({status.checked_at for status in seen}) > 10 * 5

        eventually(some)
    relaying.stop()
    nats_server.delete(database_name)
    assert {status.state for status in seen} == {"live"}
