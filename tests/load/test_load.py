"""The programs of `make load`, each for a moment; and what they say of a client that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import Server

from hotconfig import Change, ProfileConfig
from hotconfig._dispatch import Dispatcher

from . import blocking, clients, listener, memory, subscribers

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def clean(server: Server) -> Iterator[None]:
    """The databases that they leave on a server of their own are not left on the one that all tests share."""
    yield
    for name in (blocking.DATABASE, clients.DATABASE, memory.DATABASE, subscribers.DATABASE):
        server.drop_database(name)


def test_clients(server: Server, clean: None) -> None:
    """Twenty clients in two processes follow two seconds of edits to the end."""
    report = clients.run(server, seconds=2, clients=20, processes=2)

    assert report.violations == []
    assert report.number("changes applied") >= 20


def test_one_that_blocks(server: Server, clean: None) -> None:
    """It delays nobody for longer than the second after which it is late."""
    report = blocking.run(server, seconds=1.5)

    assert report.violations == []
    assert report.number("edits") > 1


def test_one_that_blocks_everybody(server: Server, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were nobody ever late, the others would wait, and that is said."""
    monkeypatch.setattr(Dispatcher, "slow_after", 1000.0)
    monkeypatch.setattr(listener, "BOUND", 0.5)

    report = blocking.run(server, seconds=0.1)

    assert any("others were told of versions" in violation for violation in report.violations)


def test_subscribers(server: Server, clean: None) -> None:
    """Two hundred are told of each change until they are cancelled."""
    report = subscribers.run(server, subscribers=200, changes=5)

    assert report.violations == []


def test_memory(server: Server, clean: None) -> None:
    """Of 2,000 changes, and of 100 that come through PostgreSQL, nothing is left."""
    report = memory.run(server, changes=2000, edits=100)

    assert report.violations == []


def test_memory_that_is_kept(server: Server, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that keeps the changes is noticed, on both ways."""
    kept: list[Change[ProfileConfig]] = []
    monkeypatch.setattr(memory, "_nothing", kept.append)

    report = memory.run(server, changes=500, edits=100)

    assert [violation.split(":")[0] for violation in report.violations] == ["fed", "edited"]
