"""Where clients read in the tests of what holds for both feeds: PostgreSQL itself, or a bucket that a relay fills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import nats_servers
import pytest
from bounds import HEARTBEAT
from dispatching import PATIENCE
from editing import FOREVER, Editor
from nats_servers import Nats
from proxy import Proxy, proxied
from relays import Relays, relays

from hotconfig import _nats, _nats_address, _postgres, conninfo
from hotconfig._bucket import Bucket
from hotconfig._content import ACTIVE
from hotconfig._feed import Feed, Stop
from hotconfig._wire import Wire


class Where(Protocol):
    """Where clients of the test's database read; who edits it goes to PostgreSQL in any case."""

    connection: ClassVar[type[Wire | Bucket]]
    """What connects a client."""

    @property
    def url(self) -> str:
        """For a client: there is all that was committed before."""

    def feed(self, stop: Stop, heartbeat: float) -> Feed:
        """Of the default profile."""

    def readers(self) -> list[int]:
        """A number for each connection of a client."""

    def terminate(self) -> None:
        """End the connections of all clients."""

    def close(self) -> None:
        """Likewise, and let nobody read until `open`."""

    def open(self) -> None:
        """Let clients read again."""


class Direct:
    """PostgreSQL itself."""

    connection: ClassVar[type[Wire | Bucket]] = Wire

    def __init__(self, url: str, editor: Editor) -> None:
        self.url = url
        self.readers = editor.readers
        self.terminate = editor.terminate
        self._editor = editor

    def feed(self, stop: Stop, heartbeat: float) -> Feed:
        return _postgres.feed(
            ACTIVE, stop, target=conninfo.resolve(self.url), schema="public", heartbeat=heartbeat, timeout=PATIENCE
        )

    def close(self) -> None:
        self._editor.run("ALTER TABLE config_state RENAME TO config_state_")
        self.terminate()

    def open(self) -> None:
        self._editor.run("ALTER TABLE config_state_ RENAME TO config_state")


class Relayed:
    """A bucket of the test's own, through a proxy."""

    connection: ClassVar[type[Wire | Bucket]] = Bucket

    def __init__(self, bucket: str, editor: Editor, proxy: Proxy, upstream: Nats, relays: Relays) -> None:
        self.bucket = bucket
        self.proxy = proxy
        self.server = upstream
        self.to = f"{upstream.url}/{bucket}"
        self._editor = editor
        self._relays = relays

    @property
    def url(self) -> str:
        self._relays.settle(self.to, self._editor)
        return f"nats://127.0.0.1:{self.proxy.port}/{self.bucket}"

    def feed(self, stop: Stop, heartbeat: float) -> Feed:
        address = _nats_address.parse(self.url)
        return _nats.feed(ACTIVE, stop, address=address, schema="public", heartbeat=heartbeat, timeout=PATIENCE)

    def readers(self) -> list[int]:
        return self.proxy.peers

    def terminate(self) -> None:
        self.proxy.cut()

    def close(self) -> None:
        self.proxy.refuse()
        self.proxy.cut()

    def open(self) -> None:
        self.proxy.accept()


# ---- fixtures, which conftest.py takes over


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Nats]:
    """The server that all tests share: to be left as it was found."""
    with nats_servers.running() as server:
        yield server


@pytest.fixture(scope="session")
def relay_process() -> Iterator[Relays]:
    """The process that all relays of tests run in, unless a test is about their process."""
    with relays() as process:
        yield process


@pytest.fixture
def bucket(
    database: str, database_name: str, editor: Editor, nats_server: Nats, relay_process: Relays
) -> Iterator[Relayed]:
    """A bucket that has what the test's database has."""
    with proxied(nats_server.ports[0]) as proxy:
        where = Relayed(database_name, editor, proxy, nats_server, relay_process)
        with relay_process.running(database, where.to, FOREVER):
            yield where
        nats_server.delete(where.bucket)


@pytest.fixture
def own_nats() -> Iterator[Nats]:
    """A server for this test alone, to be stopped, killed or emptied."""
    with nats_servers.running() as server:
        yield server


@pytest.fixture
def lively(database: str, own_nats: Nats, editor: Editor, relay_process: Relays) -> Iterator[Relayed]:
    """A bucket there, whose relay's heart beats as often as those of the clients in the tests of faults."""
    with proxied(own_nats.ports[0]) as proxy:
        where = Relayed("hotconfig", editor, proxy, own_nats, relay_process)
        with relay_process.running(database, where.to, HEARTBEAT):
            yield where


@pytest.fixture(params=["postgres", "nats"])
def where(request: pytest.FixtureRequest, database: str, editor: Editor) -> Where:
    """Whoever uses it is run for each feed."""
    if request.param == "postgres":
        return Direct(database, editor)
    found: Relayed = request.getfixturevalue("bucket")
    return found
