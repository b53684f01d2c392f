"""A client's end: closed, forgotten, or left to the interpreter's exit."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from editing import Editor, eventually, threads
from feeds import Where

from hotconfig import Change, Client, Closed


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    """Not started."""
    client = Client(where.url, heartbeat=1000)
    yield client
    client.close()


def test_close_leaves_the_server_and_no_thread(client: Client, where: Where) -> None:
    """After close() the session is gone and all threads have ended."""
    client.subscribe(print)

    client.close()

    assert threads() == []
    eventually(lambda: where.readers() == [])


def test_close_is_idempotent(client: Client) -> None:
    """Before the start, twice, and after it."""
    client.close()
    client.close()
    with client:
        client.close()
    assert client.status().state == "closed"


def test_a_closed_client_serves_its_last_snapshot(client: Client, where: Where, editor: Editor) -> None:
    """current() goes on returning it; everything else raises Closed until start()."""
    last = client.start().current()
    client.close()
    version = editor.temperature(0.3)

    assert client.current() is last
    uses: list[Callable[[], object]] = [
        lambda: client.subscribe(print),
        client.changes,
        lambda: client.wait_for(1),
    ]
    for use in uses:
        with pytest.raises(Closed, match=r"call start\(\)"):
            use()
    assert where.url, "it is there"
    client.start()
    assert client.current().version == version
    client.subscribe(print).cancel()


def test_closed_before_it_was_started(client: Client) -> None:
    """There is no last snapshot then: current() raises Closed, too."""
    client.close()

    with pytest.raises(Closed):
        client.current()


def test_close_ends_subscriptions(client: Client, editor: Editor) -> None:
    """A subscription from before close() is not called after the next start()."""
    told: list[object] = []
    client.subscribe(told.append)
    client.close()

    client.start().wait_for(editor.temperature(0.3))

    assert client._dispatcher is None
    assert told == []


def test_close_from_a_callback(client: Client, editor: Editor) -> None:
    """A subscriber may close its client; its own thread ends when it returns."""
    closed = threading.Event()

    def close(change: Change) -> None:
        client.close()
        closed.set()

    client.subscribe(close)
    editor.temperature(0.3)

    assert closed.wait(timeout=10)
    assert client.status().state == "closed"
    eventually(lambda: threads() == [])


def test_close_wins_over_a_start_that_is_under_way(
    client: Client, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is closed while another thread starts it stays closed, and the connection is given back."""
    connecting, go_on = threading.Event(), threading.Event()
    connect = where.connection.connect

    def held(*args: Any, **rest: Any) -> object:
        connecting.set()
        go_on.wait(timeout=10)
        return connect(*args, **rest)

    monkeypatch.setattr(where.connection, "connect", held)
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(client.start)
        assert connecting.wait(timeout=10)
        client.close()
        go_on.set()
        assert isinstance(started.exception(timeout=10), Closed)

    assert client.status().state == "closed"
    assert threads() == []
    eventually(lambda: where.readers() == [])


def test_a_forgotten_client_ends(where: Where) -> None:
    """Nobody holds it, nobody closed it: its thread ends and its session goes."""
    client = Client(where.url, heartbeat=1000).start()
    forgotten = weakref.ref(client)

    del client
    gc.collect()

    assert forgotten() is None
    eventually(lambda: threads() == [] and where.readers() == [])


def test_restarts_hold_nothing(client: Client) -> None:
    """What a start made is gone after its close, however often that happens in a notebook."""
    client.start()
    runs = weakref.ref(client._run)

    client.close()
    gc.collect()

    assert runs() is None


EXITS = """
import sys, hotconfig
from hotconfig import Client

clients = [Client().start() for _ in range(3)]
hotconfig.subscribe(print)
hotconfig.current()
"""


def test_the_process_leaves_by_itself(where: Where) -> None:
    """A program that never closes its clients ends with code 0, writes nothing and says goodbye to the server."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", EXITS],
        check=False,
        capture_output=True,
        env={"HOTCONFIG_DATABASE_URL": where.url},
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    eventually(lambda: where.readers() == [])
