"""A subscriber that blocks for all the time, others beside it, and `current()`."""

from __future__ import annotations

import threading
import time

import psycopg
from editing import eventually
from servers import Server

from hotconfig import Change, Client, ProfileConfig
from hotconfig.errors import Timeout

from .listener import Listener, caught_up, staleness
from .report import Report
from .usage import settled
from .writer import BOUND, HEARTBEAT, Writer

DATABASE = "load_blocking"
DISPATCHER = "hotconfig-dispatcher"


class Blocking:
    """A subscriber that does not return from its first call before it may."""

    def __init__(self) -> None:
        self.may_return = threading.Event()
        self.changes: list[Change[ProfileConfig]] = []

    def __call__(self, change: Change[ProfileConfig]) -> None:
        self.changes.append(change)
        self.may_return.wait()


def run(server: Server, *, seconds: float, others: int = 10, interval: float = 0.01) -> Report:
    report = Report("blocking")
    url = server.create_database(DATABASE)
    with Client(url, heartbeat=HEARTBEAT) as client, psycopg.connect(url, autocommit=True) as connection:
        blocking = Blocking()
        try:
            listeners = [Listener(client) for _ in range(others // 2)]
            client.subscribe(blocking)
            listeners += [Listener(client) for _ in range(others - others // 2)]
            writer = Writer(connection)
            _edit(report, client, writer, interval, seconds)
            _others(report, writer, listeners)
            _itself(report, client, blocking, writer)
        finally:
            blocking.may_return.set()
    return report


def _edit(report: Report, client: Client, writer: Writer, interval: float, seconds: float) -> None:
    reads, delays = [], []
    for version in writer.paced(interval, seconds):
        try:
            client.wait_for(version, timeout=BOUND)
        except Timeout as late:
            report.violations.append(f"while one subscriber blocks, current() waits: {late}")
            return
        delays.append(time.monotonic() - writer.sent[-1])
        before = time.perf_counter()
        client.current()
        reads.append(time.perf_counter() - before)
    report.figure("blocked for", time.monotonic() - writer.sent[0], "s")
    report.figure("edits", len(writer.sent))
    report.times("current() shows an edit after", delays)
    report.figure("current() takes at worst", max(reads) * 1e6, "us")


def _others(report: Report, writer: Writer, listeners: list[Listener]) -> None:
    """While it blocks, they are told of everything."""
    report.figure("others", len(listeners))
    if not caught_up(listeners, writer.version):
        behind = sorted(each.given.version for each in listeners)
        report.violations.append(f"while one blocks, others were told of versions {behind} of {writer.version} only")
    # Whoever stands behind it waits until it is late, after a second, and so does what comes meanwhile: once.
    late = max((each.times[0] for each in listeners if each.times), default=0.0)
    before: list[float] = []
    after: list[float] = []
    for each in listeners:
        stale = staleness(each.versions, each.times, writer.first, writer.sent)
        for at, seconds in zip(each.times, stale, strict=True):
            (before if at - seconds < late else after).append(seconds)
    report.times("others see an edit made before it is late after", before)
    if after:  # else it was all too short
        report.times("others see an edit made later after", after)
    report.figure("versions skipped", len(writer.sent) * len(listeners) - sum(len(each.versions) for each in listeners))
    gaps = sum(each.gaps for each in listeners)
    report.require(not gaps, f"{gaps} changes of the others began at something that they were not given")
    threads = settled(_dispatchers, 3)  # two at all times, and the one that blocks
    report.figure("dispatcher threads while it blocks", threads)
    report.require(threads <= 3, f"one that blocks costs one thread, and there are {threads} and not 3")


def _dispatchers() -> int:
    return sum(thread.name == DISPATCHER for thread in threading.enumerate())


def _itself(report: Report, client: Client, blocking: Blocking, writer: Writer) -> None:
    """It was called once; when it returns it gets the newest, in one step."""
    report.require(len(blocking.changes) == 1, f"while it blocked it was called {len(blocking.changes)} times")
    client.wait_for(writer.edit(), timeout=BOUND)
    blocking.may_return.set()
    try:
        eventually(lambda: len(blocking.changes) > 1, BOUND)
    except AssertionError:
        report.violations.append("the one that blocked was told of nothing when it had returned")
        return
    first, second = blocking.changes[:2]
    steps = second.old is first.new and second.new.version == writer.version
    report.require(steps, f"the one that blocked was told of {second.old.version} to {second.new.version}")
