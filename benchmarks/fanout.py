"""fan-out: from the UPDATE to the last of many processes."""

from __future__ import annotations

import time
from collections import defaultdict

import psycopg

from benchmarks.measure import Curve, Kind, Reach, Table, figure
from benchmarks.place import Place
from benchmarks.process import follower

SIZES = 1, 50, 200, 500
PASSES = 2
EDITS = 17  # of each side in each pass; the first ones do not count
WARM_UP = 2
HEARD = "only hear: one process, epoll over all connections"
BARE = "bare psycopg in each process: LISTEN, one SELECT, Pydantic"
OURS = "hotconfig in each process"
SILENT = "the same, were it not to acknowledge what it has"
SIDES: dict[str, Kind] = {HEARD: "limit", BARE: "beside", OURS: "hotconfig", SILENT: "beside"}
PROGRAMS = {HEARD: "listen", BARE: "bare", OURS: "hotconfig", SILENT: "silent"}
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1 RETURNING (SELECT version + 1 FROM config_state)"


def run(place: Place) -> Table:
    """Sides take turns a pass at a time, since so many processes and connections fit only once."""
    table = Table("fan-out", "a profile of 6 KB is edited; until the last of N processes, all on this machine, has it")
    table.curves = [Curve("fan-out", "processes", "ms", {})]
    for size in SIZES:
        samples: dict[str, list[float]] = defaultdict(list)
        with place.database("fan_out") as conninfo:
            for _ in range(PASSES):
                for name, kind in PROGRAMS.items():
                    samples[name] += _edits(conninfo, kind, size)
        for name, taken in samples.items():
            table.figures.append(figure(f"{size}: {name}", SIDES[name], "ms", taken, limit=samples[HEARD]))
            table.curves[0].points.setdefault(name, []).append((size, table.figures[-1].median))
        ours = table.median(f"{size}: {OURS}")
        table.reaches.append(Reach(f"{size} processes", 2.0, ours / table.median(f"{size}: {HEARD}")))
    floor, silent = (
        ", ".join(f"{table.median(f'{size}: {side}') / table.median(f'{size}: {BARE}'):.1f}" for size in SIZES)
        for side in (OURS, SILENT)
    )
    table.notes.append(
        "The limit is one process that hears and reads nothing. That many processes wake up and read is a floor of its "
        f"own, on processors that they share with the server: hotconfig's take {floor} times as long as bare ones. "
        f"Without the acknowledgement, a statement that competes with the others' reads, it would be {silent}; "
        "the rest is that they also compare, and hand over to the thread that calls."
    )
    return table


def _edits(conninfo: str, kind: str, size: int) -> list[float]:
    taken = []
    with (
        follower(["-m", "benchmarks.crowd", kind, str(size), conninfo]) as crowd,
        psycopg.connect(conninfo, autocommit=True) as editor,
    ):
        for _ in range(EDITS):
            began = time.monotonic_ns()
            row = editor.execute(EDIT).fetchone()
            assert row is not None
            taken.append((crowd.has(row[0]) - began) / 1e9)
    return taken[WARM_UP:]
