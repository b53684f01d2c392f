"""Where else a team could keep its configuration: each a server of its own on a loopback port, and a reader process.

Their data are in a temporary directory: what a write costs is what that disk costs, so that it should be the one that
PostgreSQL's are on.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import LeftOut
from benchmarks.store_reader import HOST, KEY

PATIENCE = 20.0
"""Seconds that a server has to start or to stop."""


@dataclass(frozen=True, slots=True)
class Store:
    """A server that keeps one value."""

    name: str
    put: Callable[[str], None]
    """Writes a value and announces it; returns when the server has acknowledged both."""
    reader: list[str]
    """Arguments for this Python, in this directory: `store_reader` says what that prints."""


def program(store: str, name: str, package: str) -> str:
    """The path of a store's server, which needs a Python client too.

    Raises:
        LeftOut: one of them is not installed.
    """
    # Debian puts servers where the PATH of an ordinary user does not lead.
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        raise LeftOut(f"{store}: no {name} on the PATH")
    if find_spec(package) is None:
        raise LeftOut(f"{store}: the package {package} is not installed")
    return path


def release(path: str) -> str:
    """As the program says itself, without what it says about its build."""
    said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def serving(arguments: list[str], port: int, log: Path) -> Iterator[None]:
    """A server that accepts connections, and has ended at the end.

    Raises:
        RuntimeError: it does not, with what it said.
    """
    with (
        log.open("wb") as said,
        subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT) as server,
    ):
        try:
            deadline = time.monotonic() + PATIENCE
            while not accepts(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{arguments[0]} does not start: {log.read_text('utf-8', 'replace')}")
                time.sleep(0.02)
            yield
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()


def reader(store: str, port: int) -> list[str]:
    return ["-m", "benchmarks.store_reader", store, str(port)]


@contextmanager
def looping() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for clients that have no other way; its run_until_complete, unlike Runner.run, sets no signal handler."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@contextmanager
def redis() -> Iterator[Store]:
    """Value and message in one transaction, and so in one round trip; both are on disk before anybody sees them."""
    path = program("Redis", "redis-server", "redis")
    from redis import Redis

    port = free_port()
    with TemporaryDirectory() as directory:
        where = ["--bind", HOST, "--port", str(port), "--dir", directory]
        durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        with serving([path, *where, *durable], port, Path(directory, "log")), Redis(HOST, port) as client:

            def put(value: str) -> None:
                with client.pipeline(transaction=True) as both:
                    both.set(KEY, value)
                    both.publish(KEY, "")
                    both.execute()

            name = f"Redis {release(path)}, pub/sub and GET, appendfsync always"
            yield Store(name, put, reader("redis", port))


@contextmanager
def etcd() -> Iterator[Store]:
    """One node, which flushes each write as it does by default."""
    path = program("etcd", "etcd", "aetcd")
    from aetcd import Client

    port, peers = free_port(), free_port()
    clients_url, peers_url = f"http://{HOST}:{port}", f"http://{HOST}:{peers}"
    with TemporaryDirectory() as directory:
        arguments = [path, "--name", "benchmark", "--data-dir", f"{directory}/data"]
        arguments += ["--listen-client-urls", clients_url, "--advertise-client-urls", clients_url]
        arguments += ["--listen-peer-urls", peers_url, "--initial-advertise-peer-urls", peers_url]
        arguments += ["--initial-cluster", f"benchmark={peers_url}"]
        with serving(arguments, port, Path(directory, "log")), looping() as loop:
            client = Client(HOST, port)
            loop.run_until_complete(client.connect())

            def put(value: str) -> None:
                loop.run_until_complete(client.put(KEY.encode(), value.encode()))

            try:
                # gRPC, as etcd means it; its HTTP gateway, which etcd3gw speaks, takes twice as long.
                yield Store(f"etcd {release(path)}, watch (aetcd)", put, reader("etcd", port))
            finally:
                loop.run_until_complete(client.close())


@contextmanager
def nats() -> Iterator[Store]:
    """Acknowledged when written; flushed to disk every two minutes."""
    path = program("NATS", "nats-server", "nats")
    from nats import connect
    from nats.js.api import KeyValueConfig, StorageType

    port = free_port()
    with TemporaryDirectory() as directory:
        arguments = [path, "--addr", HOST, "--port", str(port), "--jetstream", "--store_dir", directory]
        with serving(arguments, port, Path(directory, "log")), looping() as loop:
            connection = loop.run_until_complete(connect(f"nats://{HOST}:{port}"))
            kept = KeyValueConfig("config", storage=StorageType.FILE)
            bucket = loop.run_until_complete(connection.jetstream().create_key_value(kept))

            def put(value: str) -> None:
                loop.run_until_complete(bucket.put(KEY, value.encode()))

            try:
                name = f"NATS {release(path)}, JetStream KV watch, not flushed to disk at each write"
                yield Store(name, put, reader("nats", port))
            finally:
                loop.run_until_complete(connection.close())


STORES: tuple[tuple[str, Callable[[], AbstractContextManager[Store]]], ...] = (
    ("Redis", redis),
    ("etcd", etcd),
    ("NATS", nats),
)
"""Each by name; a function raises `LeftOut` if its server or its client is not installed."""
