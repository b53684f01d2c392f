"""Many clients in several processes on one server, and somebody who edits all the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from servers import Server

from .listener import staleness
from .report import Report
from .usage import cpu_seconds, family, own_mb, resident_mb
from .writer import BOUND, Writer

ROOT = Path(__file__).parent.parent.parent
DATABASE = "load_clients"


def run(server: Server, *, seconds: float, clients: int, processes: int, interval: float = 0.01) -> Report:
    report = Report("clients")
    url = server.create_database(DATABASE)
    shares = [clients // processes + (n < clients % processes) for n in range(processes)]
    began = time.monotonic()
    with readers(url, shares) as started, psycopg.connect(url, autocommit=True) as connection:
        report.figure("clients", clients)
        report.figure("processes", processes)
        report.figure("all clients follow after", time.monotonic() - began, "s")
        report.figure("memory of a process before", [resident_mb(each.pid) for each in started], "MB")
        before = cpu_seconds([each.pid for each in started]), cpu_seconds(family(postmaster(server)))

        writer = Writer(connection)
        began = time.monotonic()
        for _ in writer.paced(interval, seconds):
            pass
        ended = time.monotonic()
        version, document = writer.published()
        wanted = {"version": version, "document": document, "deadline": ended + BOUND}
        for each in started:
            tell(each, wanted)
        answers = [hear(each) for each in started]

        backends = family(postmaster(server))
        cost = cpu_seconds([each.pid for each in started]) - before[0], cpu_seconds(backends) - before[1]
        report.figure("edits", len(writer.sent))
        report.figure("wanted rate", 1 / interval, "edits/s")
        report.figure("rate", len(writer.sent) / (ended - began), "edits/s")
        _show(report, writer, answers)
        report.figure("CPU time of the clients", cost[0], "s")
        report.figure("CPU time of the server", cost[1], "s")
        report.figure("memory of a process after", [resident_mb(each.pid) for each in started], "MB")
        report.figure("memory of the server", own_mb(backends), "MB")
        connections = _connections(connection)
        report.figure("connections of the clients", connections)
        report.require(connections == clients, f"{clients} clients have {connections} connections")
        report.require(version == writer.version, f"{len(writer.sent)} edits made version {version}")
    return report


def _show(report: Report, writer: Writer, answers: list[Any]) -> None:
    told = [each for answer in answers for each in answer["told"]]
    stale = [second for versions, times in told for second in staleness(versions, times, writer.first, writer.sent)]
    steps = sum(len(versions) for versions, _ in told)
    report.figure("changes applied", steps)
    report.figure("versions skipped", len(writer.sent) * len(told) - steps)
    for name in ("reconnects", "warnings"):
        report.figure(name, sum(answer[name] for answer in answers))
    report.times("staleness", stale)
    last = max((times[-1] for versions, times in told if versions), default=0.0)
    report.figure("after the last edit all were there in", last - writer.sent[-1], "s")
    report.violations += [wrong for answer in answers for wrong in answer["wrong"]]


def _connections(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'hotconfig:%'"
    ).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def readers(url: str, shares: list[int]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have so many clients each, all of which follow; they end with their input."""
    started: list[subprocess.Popen[str]] = []
    environ = os.environ | {"HOTCONFIG_DATABASE_URL": url}
    try:
        for share in shares:
            command = [sys.executable, "-m", "tests.load.reader", str(share)]
            pipe = subprocess.PIPE
            started.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True))
        for each in started:
            hear(each)
        yield started
    finally:
        for each in started:
            end(each)


def end(reader: subprocess.Popen[str]) -> None:
    try:
        reader.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        reader.kill()
        reader.communicate()


def tell(reader: subprocess.Popen[str], what: dict[str, object]) -> None:
    assert reader.stdin is not None
    print(json.dumps(what), file=reader.stdin, flush=True)


def hear(reader: subprocess.Popen[str]) -> Any:
    assert reader.stdout is not None
    line = reader.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of clients ended with {reader.wait(30)}: its errors are above")
    return json.loads(line)


def postmaster(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])
