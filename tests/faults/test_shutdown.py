"""The end of a client, and of its process, whatever the server does meanwhile: in time, quietly, with nothing left."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from bounds import HEARTBEAT
from editing import Editor, eventually, threads
from programs import interrupt
from proxy import Proxy

from hotconfig import Change, Client

EXIT = """
import logging, sys, threading, hotconfig

logging.disable(logging.WARNING)  # which say what is so; what Python itself warns of is to be seen
hotconfig.subscribe(lambda change: print("told", flush=True))
if "stuck" in sys.argv:
    hotconfig.subscribe(lambda change: threading.Event().wait())
print("started", flush=True)
sys.stdin.readline()
"""


def live(client: Client, proxy: Proxy) -> None:
    """Nothing is wrong."""


def waiting_to_try_again(client: Client, proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()
    eventually(lambda: client.status().state == "stale")


def connecting(client: Client, proxy: Proxy) -> None:
    proxy.stall()
    proxy.cut()
    eventually(lambda: client.status().state == "stale")
    eventually(lambda: proxy.links)


def waiting_for_an_answer(client: Client, proxy: Proxy) -> None:
    proxy.stall()
    eventually(lambda: proxy.held)  # the heartbeat's question


def reading_a_long_answer(client: Client, proxy: Proxy) -> None:
    proxy.rate = 100
    eventually(lambda: proxy.held)


@pytest.fixture
def client(through: str) -> Iterator[Client]:
    client = Client(through, heartbeat=HEARTBEAT).start()
    yield client
    client.close()


@pytest.mark.parametrize(
    "state", [live, waiting_to_try_again, connecting, waiting_for_an_answer, reading_a_long_answer]
)
def test_close(
    state: Callable[[Client, Proxy], None], client: Client, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """In each state of its link it ends at once, leaves no thread and complains of nothing; again does nothing."""
    client.subscribe(print)
    state(client, proxy)
    caplog.clear()

    client.close()
    client.close()

    assert threads() == []
    assert [each.getMessage() for each in caplog.records] == []
    assert client.status().state == "closed"
    assert client.current().profile.name == "default"


def test_close_while_a_subscriber_is_stuck(client: Client, editor: Editor, caplog: pytest.LogCaptureFixture) -> None:
    """It waits no longer than its timeout, names the thread, and that one ends when the callback returns."""
    entered, may_return = threading.Event(), threading.Event()

    def stuck(change: Change) -> None:
        entered.set()
        may_return.wait()

    client.subscribe(stuck)
    editor.tokens(1)
    assert entered.wait(20)

    client.close(timeout=0.1)

    assert len(threads()) == 1
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    may_return.set()
    eventually(lambda: threads() == [])


@contextmanager
def program(url: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A process that follows by the module's client, and how to hear a line of it. A line to it: it may end."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", EXIT, *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=os.environ | {"HOTCONFIG_DATABASE_URL": url}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline
        finally:
            process.kill()


@pytest.mark.parametrize("server_is", ["there", "gone", "silent"])
@pytest.mark.parametrize("subscriber_is", ["idle", "stuck"])
def test_the_interpreter_exits(server_is: str, subscriber_is: str, through: str, proxy: Proxy, editor: Editor) -> None:
    """Nobody closes the client: the program ends with code 0 and says nothing, whatever server and subscriber do."""
    with program(through, subscriber_is) as (process, hear):
        assert hear() == "started\n"
        editor.tokens(1)
        assert hear() == "told\n"
        if server_is == "gone":
            proxy.refuse()
            proxy.cut()
        elif server_is == "silent":
            proxy.stall()

        rest = process.communicate("\n", timeout=30)

    assert (process.returncode, *rest) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_process(number: signal.Signals, database: str, editor: Editor) -> None:
    """Its session ends, too."""
    with program(database) as (process, hear):
        assert hear() == "started\n"
        assert len(editor.readers()) == 1

        interrupt(process, number)

        assert process.wait(30) == -number
    eventually(lambda: editor.readers() == [])
