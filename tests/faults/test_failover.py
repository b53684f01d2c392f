"""The primary dies and its asynchronous standby is promoted; clients name both hosts."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
import servers
from bounds import DOWN, HEARTBEAT, Within
from contents import found, wanted
from editing import Editor, eventually
from nats_servers import Nats
from relays import Running
from servers import TEMPLATE, Server

from hotconfig import Change, Client


class Two:
    """A primary and its standby."""

    def __init__(self, primary: Server, standby: Server) -> None:
        self.primary = primary
        self.standby = standby

    def conninfo(self) -> str:
        hosts = f"host={self.primary.sockets},{self.standby.sockets} port={self.primary.port},{self.standby.port}"
        return f"{hosts} user=postgres dbname={TEMPLATE}"

    def edit(self, server: Server, tokens: int) -> int:
        with editing(server) as editor:
            return editor.tokens(tokens)

    def caught_up(self) -> bool:
        with editing(self.primary) as primary, editing(self.standby) as standby:
            written = primary.ask("SELECT pg_current_wal_insert_lsn()")
            return bool(standby.ask("SELECT pg_last_wal_replay_lsn() >= %s", [written]))

    def disconnect(self) -> None:
        """The standby hears no more."""
        self.standby.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()")
        with editing(self.standby) as standby:
            eventually(lambda: standby.ask("SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    def fail_over(self) -> None:
        self.primary.signal(signal.SIGKILL)
        self.standby.promote()


@contextmanager
def editing(server: Server) -> Iterator[Editor]:
    with closing(psycopg.connect(server.url(TEMPLATE), autocommit=True)) as connection:
        yield Editor(connection)


@pytest.fixture
def two(own_server: Server) -> Iterator[Two]:
    with servers.running(own_server) as standby:
        yield Two(own_server, standby)


@pytest.fixture
def client(two: Two) -> Iterator[Client]:
    with Client(two.conninfo(), heartbeat=HEARTBEAT) as client:
        yield client


def test_a_failover(two: Two, client: Client, within: Within) -> None:
    """The standby is promoted and has everything: clients follow it, without a step back."""
    client.wait_for(two.edit(two.primary, 1))
    eventually(two.caught_up)

    two.fail_over()

    with within(DOWN) as limit:
        client.wait_for(two.edit(two.standby, 2), timeout=limit)
    assert client.status().state == "live"
    assert client.status().rewinds == 0


def test_a_failover_that_loses_versions(
    two: Two, client: Client, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    """The promoted standby has lost the last versions: clients step back to its truth, once, and say so."""
    told: list[Change] = []
    client.subscribe(told.append)
    kept = client.wait_for(two.edit(two.primary, 1))
    eventually(two.caught_up)
    two.disconnect()
    client.wait_for(two.edit(two.primary, 2))
    lost = client.wait_for(two.edit(two.primary, 3))
    eventually(lambda: told and told[-1].new is lost)

    two.fail_over()

    with within(DOWN) as limit:
        eventually(lambda: client.current() == kept, timeout=limit)
    eventually(lambda: told[-1].new == kept)
    assert told[-1].old is lost
    assert client.status().rewinds == 1
    steps = [
        each.getMessage() for each in caplog.records if each.levelno == logging.WARNING and "back" in each.getMessage()
    ]
    assert len(steps) == 1, steps
    assert client.wait_for(two.edit(two.standby, 4)).version == kept.version + 1 < lost.version


def test_a_failover_behind_a_relay(two: Two, nats_server: Nats, within: Within) -> None:
    """The promoted standby has lost the last versions: the bucket has its truth, and clients step back to it, once."""
    kept = two.edit(two.primary, 1)
    eventually(two.caught_up)
    two.disconnect()
    two.edit(two.primary, 2)
    lost = two.edit(two.primary, 3)
    to = f"{nats_server.url}/failover"
    relaying = Running(two.conninfo(), to, HEARTBEAT)
    eventually(lambda: relaying.relay.relayed == lost)
    with Client(to, heartbeat=HEARTBEAT) as client:
        two.fail_over()

        with within(DOWN) as limit:
            client.wait_for(until=lambda c: c.ai_infra.llm_max_tokens == 1, timeout=limit)
        assert client.current().version == kept
        assert client.wait_for(two.edit(two.standby, 4), timeout=20).version == kept + 1 < lost
        assert client.status().rewinds == 1
    relaying.stop()
    with editing(two.standby) as editor:
        assert found(nats_server, "failover") == wanted(editor)
    nats_server.delete("failover")


def test_the_lost_versions_are_made_again(two: Two, client: Client, within: Within) -> None:
    """The promoted standby makes the same numbers with other contents: what counts is the token."""
    kept = client.wait_for(two.edit(two.primary, 1))
    eventually(two.caught_up)
    two.disconnect()
    lost = client.wait_for(two.edit(two.primary, 2))

    two.fail_over()
    again = two.edit(two.standby, 3)

    assert again == lost.version == kept.version + 1
    with within(DOWN) as limit:
        client.wait_for(until=lambda c: c.ai_infra.llm_max_tokens == 3, timeout=limit)
    assert client.status().rewinds == 1
