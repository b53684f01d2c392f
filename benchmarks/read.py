"""read: what one setting costs, at each use.

`python -m benchmarks.read CONNINFO` prints the samples of one process, as JSON. Several are asked: how an interpreter
happens to lay out its types and caches moves a read by several per cent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import hotconfig
import hotconfig.testing
from benchmarks.measure import Kind, Reach, Table, by_turns, figure
from benchmarks.peers import PEERS, Read
from benchmarks.place import Place
from benchmarks.process import ROOT

PROCESSES = 5
ROUNDS = 80  # of each process
SAMPLE = 0.001  # seconds: so many reads are one sample that reading the clock does not count
THREADS = 8
WANTED = "ai_infra.llm_temperature"
LIMIT = "a function that returns a frozen model"
OURS = "hotconfig.current()"
OWN = "current() of a client of one's own"
ALL = f", {THREADS} threads"


def run(place: Place) -> Table:
    """A read of `current()`, of a function that does nothing but return the model, and of the peers."""
    with place.database("read") as conninfo:
        parts = [process(conninfo) for _ in range(PROCESSES)]
    samples, threads = (_together([part[kind] for part in parts]) for kind in ("samples", "threads"))
    bare = samples[LIMIT]
    bare_of_threads = threads[LIMIT + ALL]
    kinds: dict[str, Kind] = {LIMIT: "limit", OURS: "hotconfig", OWN: "beside"}
    table = Table("read", f"`.{WANTED}` of what is there, in a loop of timeit; a sample is the mean of 1 ms of reads")
    table.left_out = parts[0]["left_out"]
    for name, taken in samples.items():
        table.figures.append(figure(name, kinds.get(name, "peer"), "ns", taken, limit=bare))
    for name, taken in threads.items():
        table.figures.append(figure(name, kinds[name.removesuffix(ALL)], "ns", taken, limit=bare_of_threads))
    for name in parts[0]["unusual"]:
        both = _together([part["unusual"][name] for part in parts])
        table.figures.append(figure(f"{OURS}, {name}", "beside", "ns", both[OURS], limit=both[LIMIT]))
    ours = table.median(OURS)
    table.reaches = [
        Reach("to the limit", 1.3, ours / table.median(LIMIT)),
        Reach(f"with {THREADS} threads", 1.3, table.median(OURS + ALL) / table.median(LIMIT + ALL)),
    ]
    for name, pushed in parts[0]["peers"].items():
        if pushed or (name.startswith("dynamic-config-py") and "Pydantic" in name):
            table.reaches.append(Reach(f"to {name}", 0.1 if pushed else 1.0, ours / table.median(name)))
        elif name.startswith("dynamic-config-py"):
            table.notes.append(
                f"{name}, reads in {table.median(name) / table.median(LIMIT):.2f} times the limit, which is a section "
                "of a Pydantic model."
            )
    return table


def process(conninfo: str) -> dict[str, Any]:
    """What a fresh process measures."""
    command = [sys.executable, "-m", "benchmarks.read", conninfo]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _together(parts: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    return {name: [sample for part in parts for sample in part[name]] for name in parts[0]}


def main(conninfo: str) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(hotconfig.start(conninfo))
        snapshot = client.current()

        limit = ModuleType("limit")  # as hotconfig is one

        def current() -> hotconfig.ProfileConfig:
            return snapshot

        limit.current = current  # type: ignore[attr-defined]
        names = {"hotconfig": hotconfig, "client": client, "limit": limit}
        reads = {
            LIMIT: timeit.Timer(f"limit.current().{WANTED}", globals=names),
            OURS: timeit.Timer(f"{OURS}.{WANTED}", globals=names),
            OWN: timeit.Timer(f"client.current().{WANTED}", globals=names),
        }
        peers, left_out = _peers(stack)
        sides = {name: _sample(timer) for name, timer in (reads | {p.name: _timer(p) for p in peers}).items()}
        samples = by_turns(sides, ROUNDS, warm_up=ROUNDS // 10)
        sides = {each + ALL: _sample_of_threads(reads[each]) for each in (LIMIT, OURS)}
        threads = by_turns(sides, ROUNDS // 10, warm_up=2)
        plain, unusual = {each: _sample(reads[each]) for each in (LIMIT, OURS)}, {}
        with client.pinned():
            unusual["pinned"] = by_turns(plain, ROUNDS // 10)
        with hotconfig.testing.override(snapshot):
            unusual["overridden"] = by_turns(plain, ROUNDS // 10)
        found = {
            "samples": samples,
            "threads": threads,
            "unusual": unusual,
            "peers": {peer.name: peer.pushed for peer in peers},
            "left_out": left_out,
        }
        print(json.dumps(found))


def _peers(stack: ExitStack) -> tuple[list[Read], list[str]]:
    peers, left_out = [], []
    for name, peer in PEERS:
        try:
            peers.append(stack.enter_context(peer()))
        except ImportError:
            left_out.append(f"{name}: not installed")
    return peers, left_out


def _timer(peer: Read) -> timeit.Timer:
    return timeit.Timer(peer.statement, globals=peer.names)


def _often(timer: timeit.Timer) -> int:
    """How many reads take about as long as a sample."""
    timer.timeit(100)
    return max(1, int(SAMPLE / (timer.timeit(100) / 100)))


def _sample(timer: timeit.Timer) -> Callable[[], float]:
    times = _often(timer)
    return lambda: timer.timeit(times) / times


def _sample_of_threads(timer: timeit.Timer) -> Callable[[], float]:
    """The time of a read when all threads read at once: the mean over all of them."""
    times = 20 * _often(timer)  # several of the interpreter's switches of threads

    def sample() -> float:
        began = threading.Barrier(THREADS + 1)
        readers = [threading.Thread(target=lambda: (began.wait(), timer.timeit(times))) for _ in range(THREADS)]
        for each in readers:
            each.start()
        began.wait()
        start = time.perf_counter()
        for each in readers:
            each.join()
        return (time.perf_counter() - start) / (THREADS * times)

    return sample


if __name__ == "__main__":
    main(sys.argv[1])
