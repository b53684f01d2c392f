"""hotconfig, on a real PostgreSQL: a database of its own for each cell."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

import hotconfig
from benchmarks.trouble.link import Address
from benchmarks.trouble.subject import DoesNotApply, Product
from hotconfig import embedded
from hotconfig._feed import Stop
from hotconfig._wire import Wire

POSTGRES = "HOTCONFIG_BENCHMARK_POSTGRES"
"""The environment variable that names a server to make databases on. Default: an embedded one, for this cell alone."""

TEMPLATE = "hotconfig_trouble"
DOCUMENT = "trouble"


class Settings(hotconfig.Snapshot):
    limit: float


class Client:
    """The library's client with its default options: a heartbeat of 10 s."""

    def start(self, url: str) -> None:
        announce_connects()
        self._client = hotconfig.Client(url, model=Settings, document=DOCUMENT)
        self._client.start()

    def read(self) -> object:
        return self._client.current().limit

    def subscribe(self, callback: Callable[[object], object]) -> None:
        self._client.subscribe(lambda change: callback(change.new.limit))

    def after_fork(self) -> None:
        raise DoesNotApply("asks nothing of the child of a fork")

    def close(self) -> None:
        self._client.close()


def announce_connects() -> None:
    """Python's audit hooks hear of every connect of a Python socket; libpq's need this."""
    connect = Wire.connect

    def announced(params: Mapping[str, str], stop: Stop, *, timeout: float) -> Wire:
        sys.audit("socket.connect", None, (params["host"], int(params["port"])))
        return connect(params, stop, timeout=timeout)

    patch.object(Wire, "connect", announced).start()


class Database:
    """A database of its own on a server that cells may share."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            server = os.environ.get(POSTGRES) or started(stack)
            self._params: dict[str, Any] = conninfo_to_dict(server)
            self._server = stack.enter_context(psycopg.connect(server, autocommit=True))
            make_template(self._server, server)
            self._name = f"trouble_{secrets.token_hex(4)}"
            # Copying the files is faster than logging every page, as the default does.
            create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            self._server.execute(create.format(Identifier(self._name), Identifier(TEMPLATE)))
            stack.callback(self._drop)
            own = make_conninfo(server, dbname=self._name)
            self._editor = stack.enter_context(psycopg.connect(own, autocommit=True))
            self.publish(0.0)
            self._stack = stack.pop_all()

    def _drop(self) -> None:
        self._server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(self._name)))

    @property
    def address(self) -> Address:
        host, port = str(self._params["host"]), int(self._params["port"])
        return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)

    def url(self, address: str) -> str:
        host, _, port = address.partition(":")
        return make_conninfo("", **{**self._params, "host": host, "port": port, "dbname": self._name})

    def publish(self, value: object) -> None:
        self._editor.execute("SELECT config_publish(%s, %s)", [DOCUMENT, Jsonb({"limit": value})])

    def malformed(self) -> str:
        try:
            self._editor.execute("SELECT config_publish(%s, %s::jsonb)", [DOCUMENT, '{"limit":'])
        except psycopg.errors.InvalidTextRepresentation:
            return "the database refuses it"
        return ""

    def fail(self, failing: bool) -> None:
        allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        self._server.execute(allow.format(Identifier(self._name), not failing))

    def asked(self) -> int | None:
        return None

    def followed(self) -> bool:
        """It listens before it has read anything."""
        return True

    def stop(self) -> None:
        self._stack.close()


def started(stack: ExitStack) -> str:
    """The URL of an embedded server that ends with the stack."""
    parent = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hotconfig-trouble-", dir="/tmp")))
    parent.chmod(0o755)  # for the system user that runs the server for root
    stack.callback(embedded.leave, parent / "data")
    return embedded.start(parent / "data")


def make_template(connection: psycopg.Connection, server: str) -> None:
    """Migrated once for all cells, which start side by side."""
    connection.execute("SELECT pg_advisory_lock(7)")
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone() is None:
        from hotconfig import migrations

        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(TEMPLATE)))
        migrations.upgrade(make_conninfo(server, dbname=TEMPLATE))
    connection.execute("SELECT pg_advisory_unlock(7)")


PRODUCT = Product("hotconfig", "hotconfig", "Client with its default options, on a real PostgreSQL", Client, Database)
