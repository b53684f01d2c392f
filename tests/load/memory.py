"""Many changes, one after the other, each of which the client applies and its subscribers are told of."""

from __future__ import annotations

import gc
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import psycopg
from servers import Server

from hotconfig import Change, Client, ProfileConfig, _postgres
from hotconfig._feed import Feed, Published, Stop
from hotconfig.profile import default_profile

from .report import Report
from .usage import descriptors, resident_mb, settled
from .writer import BOUND, HEARTBEAT, Writer

DATABASE = "load_memory"
STEPS = 10

BLOCKS_SLACK, BLOCKS_EACH = 200, 0.1
"""What Python may have more at the end than half-way, once and for each change. The least that can be kept of a change,
a number in a list, is one block; a snapshot is some forty."""
RESIDENT_SLACK, RESIDENT_EACH = 4.0, 500 / 2**20
"""The same for the whole process, in MB: what C allocates, and what is larger than a block. A document, or an answer of
the server that is not freed, takes thousands of bytes."""


@dataclass
class Sample:
    """What there is at one moment."""

    blocks: int
    """That Python has allocated, of up to 512 bytes each: exact, and it costs nothing, unlike tracemalloc."""
    resident: float
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> Sample:
        gc.collect()
        return cls(sys.getallocatedblocks(), resident_mb(), threading.active_count(), descriptors())


def run(server: Server, *, changes: int, edits: int) -> Report:
    """`changes` from a feed in this process, and `edits` through PostgreSQL, which takes ten times as long for each."""
    report = Report("memory")
    gc.freeze()  # what was there before need not be gone through for each sample
    try:
        _fed(report, changes)
        _edited(report, server, edits)
    finally:
        gc.unfreeze()
    return report


def _fed(report: Report, changes: int) -> None:
    """All that a client does but for the wire: it validates, swaps and tells."""
    base = default_profile({})
    documents: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    last = 1

    def feed(document: str, stop: Stop, **_: object) -> Feed:
        for version in iter(documents.get, None):
            infra = base.ai_infra.model_copy(update={"llm_max_tokens": version})
            json = base.model_copy(update={"version": version, "ai_infra": infra}).model_dump_json().encode()
            yield Published(version=version, document_version=version, json=json)

    def change() -> int:
        nonlocal last
        last += 1
        documents.put(last)
        return last

    documents.put(last)
    with mock.patch.object(_postgres, "feed", feed), Client("postgresql://nobody@nowhere/") as client:
        try:
            _follow(report, "fed", client, change, changes)
        finally:
            documents.put(None)


def _edited(report: Report, server: Server, edits: int) -> None:
    """All of it: each is an UPDATE."""
    url = server.create_database(DATABASE)
    with Client(url, heartbeat=HEARTBEAT) as client, psycopg.connect(url, autocommit=True) as connection:
        _follow(report, "edited", client, Writer(connection).edit, edits)


def _follow(report: Report, name: str, client: Client, change: Callable[[], int], changes: int) -> None:
    """Make changes, and wait after each until the last subscriber was told of it, who comes and goes."""
    client.subscribe(_nothing)
    client.subscribe(_nothing, on=lambda config: config.prompts)
    told: queue.SimpleQueue[Change[ProfileConfig]] = queue.SimpleQueue()
    samples = [Sample.now()]
    began = time.monotonic()
    for n in range(1, changes + 1):
        with client.pinned(), client.subscribe(told.put):
            version = change()
            try:
                seen = told.get(timeout=BOUND)
            except queue.Empty:
                report.violations.append(f"{name}: nobody was told of version {version} within {BOUND:g} s")
                return
        if (seen.old.version, seen.new.version) != (version - 1, version):
            report.violations.append(f"{name}: told of {seen.old.version} to {seen.new.version}, not of {version}")
        del seen
        if n % max(1, changes // STEPS) == 0:
            samples.append(Sample.now())
    took = time.monotonic() - began
    settled(threading.active_count, samples[len(samples) // 2].threads)
    samples[-1] = Sample.now()
    report.figure(f"changes {name}", changes)
    report.figure(f"rate {name}", changes / took, "changes/s")
    _flat(report, name, changes, samples)


def _nothing(change: Change[ProfileConfig]) -> None: ...


def _flat(report: Report, name: str, changes: int, samples: list[Sample]) -> None:
    """The second half of the changes leaves nothing behind; the first one may, since buffers and caches fill up."""
    half, end = samples[len(samples) // 2], samples[-1]
    blocks, resident = end.blocks - half.blocks, end.resident - half.resident
    report.figure(f"{name}, blocks of Python", [each.blocks for each in samples])
    report.figure(f"{name}, memory of the process", [each.resident for each in samples], "MB")
    report.figure(f"{name}, growth in the second half, blocks of Python", blocks)
    report.figure(f"{name}, growth in the second half, the process", resident, "MB")
    report.figure(f"{name}, threads", [each.threads for each in samples])
    report.figure(f"{name}, descriptors", [each.descriptors for each in samples])
    most = BLOCKS_SLACK + BLOCKS_EACH * changes / 2
    report.require(blocks < most, f"{name}: {blocks} blocks more at the end than half-way; {most:g} is flat")
    most = RESIDENT_SLACK + RESIDENT_EACH * changes / 2
    report.require(resident < most, f"{name}: {resident:.1f} MB more at the end than half-way; {most:.1f} is flat")
    for what in ("threads", "descriptors"):
        before, after = getattr(half, what), getattr(end, what)
        report.require(after <= before, f"{name}: {after} {what} at the end, and {before} half-way")
