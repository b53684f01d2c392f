"""How a relay says how it is, over HTTP."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from editing import FOREVER, Editor, eventually
from nats_servers import Nats
from relays import Running

from hotconfig import _health, conninfo
from hotconfig._nats_address import parse
from hotconfig._relay import Relay


@contextmanager
def served(host: str) -> Iterator[int]:
    """The port at which a relay that does not run says so."""
    relay = Relay(conninfo.resolve("host=nowhere"), "public", parse("nats://nowhere"))
    server = _health.serve(relay, host, 0)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_where_it_listens(host: str) -> None:
    """At an address of either kind."""
    with served(host) as port:
        connection = http.client.HTTPConnection(host, port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["healthy"]) == (503, False)
        connection.close()


def test_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed, so that it keeps no thread for ever."""
    monkeypatch.setattr(_health, "SILENT", 0.2)
    with served("127.0.0.1") as port, socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        assert silent.recv(1) == b""


def test_a_name_that_is_too_long(database: str, database_name: str, editor: Editor, nats_server: Nats) -> None:
    """What is not relayed is named, and all is not well."""
    relaying = Running(database, f"{nats_server.url}/{database_name}", FOREVER)
    try:
        version = editor.publish("\u00f6" * 1000, '{"n": 1}')
        eventually(lambda: relaying.relay.relayed == version)
        said = _health.health(relaying.relay)
        assert (said["healthy"], said["too_large"]) == (False, ["\u00f6" * 1000])
    finally:
        relaying.stop()
        nats_server.delete(database_name)
