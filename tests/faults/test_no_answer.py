"""What knows no deadline, a callable for the conninfo and a name server, is waited for no longer than anything else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from editing import FOREVER, Editor, eventually, threads
from psycopg.conninfo import make_conninfo
from servers import Server

from hotconfig import Client, Unavailable


class Hanging:
    """A function that hangs until it is let go."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0
        self.hangs = True
        self.released = threading.Event()

    def __call__(self, *args: Any, **rest: Any) -> Any:
        self.calls += 1
        if self.hangs:
            assert self.released.wait(60)
        return self.function(*args, **rest)

    def release(self) -> None:
        self.hangs = False
        self.released.set()


@pytest.fixture
def callable_(database: str) -> Iterator[Hanging]:
    hanging = Hanging(lambda: database)
    yield hanging
    hanging.release()
    eventually(lambda: threads() == [])


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    hanging = Hanging(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    yield hanging
    hanging.release()
    eventually(lambda: threads() == [])


def by_name(server: Server, database_name: str, name: str = "localhost") -> str:
    return make_conninfo(server.tcp_url(database_name), host=name)


def test_a_start_with_a_callable_that_hangs(callable_: Hanging) -> None:
    """start(timeout=...) is kept; the answer that comes late serves the next start, which asks no second time."""
    client = Client(callable_, heartbeat=FOREVER)
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"asked where to connect.* no answer within 0\.[0-9]+ s"):
            client.start(timeout=0.2)
    callable_.release()
    with client:
        assert client.status().healthy


def test_a_start_with_a_name_server_that_hangs(names: Hanging, server: Server, database_name: str) -> None:
    """start(timeout=...) is kept, and the error says what was waited for."""
    client = Client(by_name(server, database_name), heartbeat=FOREVER)
    with pytest.raises(Unavailable, match=r'translate host name "localhost".* no answer within 0'):
        client.start(timeout=0.2)
    names.release()
    with client:
        assert client.status().healthy


def test_a_name_server_that_hangs_leaves_time_for_the_next_host(
    names: Hanging, server: Server, database_name: str
) -> None:
    """Of two hosts the first cannot be looked up: the second is taken, within the time of one start."""
    hosts = f"host=elsewhere,{server.sockets} port={server.port} user=postgres dbname={database_name}"
    with Client(hosts, heartbeat=FOREVER).start(timeout=2) as client:
        assert client.status().healthy


def test_close_does_not_wait(callable_: Hanging, editor: Editor, caplog: pytest.LogCaptureFixture) -> None:
    """While the callable hangs the last snapshot serves, it is asked once, and close() ends the client at once."""
    callable_.hangs = False
    client = Client(callable_, heartbeat=FOREVER).start()
    callable_.hangs = True
    editor.terminate()
    eventually(lambda: callable_.calls == 2)
    assert client.status().state == "stale"
    caplog.clear()

    client.close()

    assert [each.getMessage() for each in caplog.records] == []
    assert callable_.calls == 2


def test_a_callable_that_hangs_and_returns(callable_: Hanging, editor: Editor) -> None:
    """What was missed meanwhile arrives when it returns."""
    callable_.hangs = False
    with Client(callable_, heartbeat=FOREVER) as client:
        callable_.hangs = True
        editor.terminate()
        eventually(lambda: callable_.calls == 2)
        version = editor.tokens(1)
        callable_.release()
        client.wait_for(version, timeout=35)


def test_a_child_does_not_wait(callable_: Hanging, editor: Editor) -> None:
    """In a forked child whose callable hangs the inherited snapshot serves, stale."""
    callable_.hangs = False
    with Client(callable_, heartbeat=FOREVER) as client:
        client.wait_for(editor.tokens(7))
        callable_.hangs = True
        pid = os.fork()
        if pid == 0:
            inherited = client.current().ai_infra.llm_max_tokens == 7
            os._exit(0 if inherited and client.status().state == "stale" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_callable_sees_the_callers_context(database: str) -> None:
    """It runs in a thread of its own, and yet a context variable of the caller is there."""
    which: ContextVar[str] = ContextVar("which")
    which.set(database)
    with Client(which.get, heartbeat=FOREVER) as client:
        assert client.status().healthy


def test_each_address_of_a_host_is_tried(server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for several addresses is good if one of them answers."""
    found = [(family, kind, 0, "", (address, 0)) for family, kind, address in ADDRESSES]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    with Client(by_name(server, database_name, "db"), heartbeat=FOREVER) as client:
        assert client.status().healthy


ADDRESSES = [
    (socket.AF_INET6, socket.SOCK_STREAM, "100::1"),  # a prefix that is dropped (RFC 6666), or without a route
    (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.9"),
    (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
]


def test_a_host_that_is_unknown(server: Server, database_name: str) -> None:
    """The error names it."""
    with pytest.raises(Unavailable, match=r'could not translate host name "nowhere\.invalid".*correct the host'):
        Client(by_name(server, database_name, "nowhere.invalid")).start(timeout=10)
