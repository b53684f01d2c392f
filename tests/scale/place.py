"""What a run consists of: a PostgreSQL, three NATS servers, two relays, clients in processes; all ended with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import nats_servers
import psycopg
import servers
import sqlalchemy as sa
from chaos.edits import FLAGS as TABLE
from chaos.reader import ACTIVE, FLAGS
from sessions import add_profile

from hotconfig.migrations import watch_table

ROOT = Path(__file__).parent.parent.parent
DATABASE = "scale"
PROFILES = "p0", "p1"
DOCUMENTS = ACTIVE, FLAGS, *(f"profile/{name}" for name in PROFILES)
PATIENCE = 60.0  # seconds for whatever starts, ends or converges


@dataclass
class Process:
    """Clients, what they showed, and when: by number, (document, version, digest, nanoseconds)."""

    documents: list[str]
    running: subprocess.Popen[str]
    shown: dict[int, list[tuple[str, int, str, int]]] = field(default_factory=dict)
    end: dict[str, int] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        assert self.running.stdout is not None
        for line in self.running.stdout:
            said: Any = json.loads(line)
            if said == "ready":
                self.ready.set()
            elif isinstance(said, dict):
                self.end = said
            else:
                n, document, version, digest, when = said
                self.shown.setdefault(n, []).append((document, version, digest, when))


@dataclass
class Place:
    database: str
    nats: nats_servers.Nats
    relays: dict[int, subprocess.Popen[bytes]]
    health: list[int]
    processes: list[Process]

    def start_relay(self, number: int) -> None:
        address = f"127.0.0.1:{self.health[number]}"
        command = [sys.executable, "-m", "hotconfig", "relay", "--to", self.nats.url, "--health", address, "--json"]
        environ = os.environ | {"HOTCONFIG_DATABASE_URL": self.database, "HOTCONFIG_INSTANCE": f"relay.{number}"}
        self.relays[number] = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)

    def end_relays(self) -> None:
        for relay in self.relays.values():
            end(relay, signal.SIGTERM)

    def wait_for_relay(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{self.health[number]}/") as answer:
                if answer.status == 200:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"relay {number} is not well within {PATIENCE:g} s")


@contextmanager
def place(clients: int, processes: int) -> Iterator[Place]:
    with ExitStack() as stack:
        server = stack.enter_context(servers.running())
        nats = stack.enter_context(nats_servers.running(3))
        made = Place(prepare(server), nats, {}, [servers.free_port() for _ in range(2)], [])
        stack.callback(made.end_relays)
        for number in range(2):
            made.start_relay(number)
        for number in range(2):
            made.wait_for_relay(number)
        for n in range(processes):
            documents = [DOCUMENTS[each % len(DOCUMENTS)] for each in range(n, clients, processes)]
            made.processes.append(start(stack, nats.url, documents))
        for process in made.processes:
            if not process.ready.wait(PATIENCE):
                raise TimeoutError("a process with clients does not start")
        yield made


def start(stack: ExitStack, url: str, documents: list[str]) -> Process:
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.scale.clients", *documents],
        cwd=ROOT,
        env=os.environ | {"HOTCONFIG_DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # that links went is no news here
        text=True,
    )
    process = Process(documents, running)
    stack.callback(end, running, signal.SIGKILL)
    thread = threading.Thread(target=process.read)
    thread.start()
    stack.callback(thread.join)
    stack.callback(end, running, signal.SIGKILL)
    return process


def end(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def prepare(server: servers.Server) -> str:
    url = server.create_database(DATABASE)
    with psycopg.connect(url) as connection:
        connection.execute(TABLE.encode())
        for name in PROFILES:
            add_profile(connection, name)
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sa.NullPool)
    with engine.begin() as owner:
        watch_table(owner, "flags", publishes=FLAGS, function="flags_document", columns=["name", "value"])
    return url
