"""Where clients read in the tests of what holds for both feeds: PostgreSQL itself, or a bucket that a relay fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import nats_servers
import pytest
from editing import FOREVER, Editor, eventually
from nats_servers import Nats
from proxy import Proxy, proxied
from relays import Relays, relays


class Where(Protocol):
    """Where clients of the test's database read; who edits it goes to PostgreSQL in any case."""

    @property
    def url(self) -> str:
        """For a client: there is all that was committed before."""

    def readers(self) -> list[int]:
        """A number for each connection of a client."""

    def terminate(self) -> None:
        """End the connections of all clients."""


class Direct:
    """PostgreSQL itself."""

    def __init__(self, url: str, editor: Editor) -> None:
        self.url = url
        self.readers = editor.readers
        self.terminate = editor.terminate


class Relayed:
    """A bucket of the test's own, through a proxy."""

    def __init__(self, bucket: str, editor: Editor, proxy: Proxy, upstream: Nats, relays: Relays) -> None:
        self.bucket = bucket
        self.proxy = proxy
        self.to = f"{upstream.url}/{bucket}"
        self._editor = editor
        self._relays = relays

    @property
    def url(self) -> str:
        newest = self._editor.version()
        eventually(lambda: self._relays.relayed(self.to) == newest)
        return f"nats://127.0.0.1:{self.proxy.port}/{self.bucket}"

    def readers(self) -> list[int]:
        return self.proxy.peers

    def terminate(self) -> None:
        self.proxy.cut()


@contextmanager
def relayed(
    database: str, bucket: str, editor: Editor, upstream: Nats, relays: Relays, heartbeat: float = FOREVER
) -> Iterator[Relayed]:
    """Relay a database into a bucket, which is deleted at the end."""
    with proxied(upstream.ports[0]) as proxy:
        where = Relayed(bucket, editor, proxy, upstream, relays)
        relays.start(database, where.to, heartbeat)
        try:
            yield where
        finally:
            relays.stop(where.to)
            upstream.delete(bucket)


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
    with relayed(database, database_name, editor, nats_server, relay_process) as where:
        yield where


@pytest.fixture(params=["postgres", "nats"])
def where(request: pytest.FixtureRequest, database: str, editor: Editor) -> Where:
    """Whoever uses it is run for each feed."""
    if request.param == "postgres":
        return Direct(database, editor)
    found: Relayed = request.getfixturevalue("bucket")
    return found
