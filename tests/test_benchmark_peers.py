"""The peers that hotconfig is measured against; they are the extra `bench`, and not needed here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from benchmarks.peers import PEERS, Read


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize(("name", "peer"), PEERS, ids=[name for name, _ in PEERS])
def test_a_peer_reads_the_setting(name: str, peer: Callable[[], AbstractContextManager[Read]]) -> None:
    """What is timed gives the setting each time, and no thread of the peer's remains."""
    before = set(threading.enumerate())
    try:
        with peer() as read:
            found = [eval(read.statement, read.names) for _ in range(2)]
    except ImportError:
        pytest.skip(f"{name} is not installed")

    assert found == [0.7, 0.7]
    assert set(threading.enumerate()) <= before
