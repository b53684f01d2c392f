"""Many subscribers on one client."""

from __future__ import annotations

import gc
import time
import weakref

import psycopg
from servers import Server

from hotconfig import Client

from .listener import Listener, caught_up
from .report import Report
from .usage import resident_mb
from .writer import HEARTBEAT, Writer

DATABASE = "load_subscribers"


def run(server: Server, *, subscribers: int, changes: int) -> Report:
    report = Report("subscribers")
    url = server.create_database(DATABASE)
    with Client(url, heartbeat=HEARTBEAT) as client, psycopg.connect(url, autocommit=True) as connection:
        report.figure("subscribers", subscribers)
        writer = Writer(connection)
        memory, began = resident_mb(), time.monotonic()
        listeners = [Listener(client) for _ in range(subscribers)]
        report.figure("to subscribe", (time.monotonic() - began) / subscribers * 1e6, "us each")
        for _ in range(changes):
            if not caught_up(listeners, writer.edit()):
                break
        report.figure("memory", (resident_mb() - memory) * 1024 / subscribers, "kB each")
        _changes(report, client, writer, listeners)
        _cancel(report, client, writer, listeners)
    return report


def _changes(report: Report, client: Client, writer: Writer, listeners: list[Listener]) -> None:
    report.figure("changes", len(writer.sent))
    first, last = listeners[0], listeners[-1]
    report.times("an edit to the first", [at - sent for at, sent in zip(first.times, writer.sent, strict=False)])
    report.times("an edit to the last", [at - sent for at, sent in zip(last.times, writer.sent, strict=False)])
    passes = [end - begin for begin, end in zip(first.times, last.times, strict=False)]
    report.figure("to call", sorted(passes)[len(passes) // 2] / len(listeners) * 1e6, "us each")
    newest = client.current()
    report.require(newest.version == writer.version, f"the client is at {newest.version}, not {writer.version}")
    behind = sum(each.given is not newest for each in listeners)
    report.require(not behind, f"{behind} were not called with the last change")
    skipped = len(writer.sent) * len(listeners) - sum(len(each.versions) for each in listeners)
    report.figure("versions skipped", skipped)
    gaps = sum(each.gaps for each in listeners)
    report.require(not gaps, f"{gaps} changes began at something that the subscriber was not given")


def _cancel(report: Report, client: Client, writer: Writer, listeners: list[Listener]) -> None:
    """All of them; the next change is told to one that came afterwards and to nobody else, and they are forgotten."""
    calls = sum(len(each.versions) for each in listeners)
    began = time.monotonic()
    for each in listeners:
        each.subscription.cancel()
    report.figure("to cancel", (time.monotonic() - began) / len(listeners) * 1e6, "us each")
    after = Listener(client)
    report.require(caught_up([after], writer.edit()), "one that came when the others had gone was told of nothing")
    more = sum(len(each.versions) for each in listeners) - calls
    report.require(not more, f"{more} were called after they had been cancelled")
    kept = [weakref.ref(each) for each in listeners]
    listeners.clear()
    del each
    gc.collect()
    alive = sum(each() is not None for each in kept)
    report.require(not alive, f"{alive} are kept though they were cancelled")
