"""fan-out: from the UPDATE to the last of many processes."""

from __future__ import annotations

import random
import time

import psycopg

from benchmarks.measure import Curve, Kind, Reach, Table, figure
from benchmarks.place import Place
from benchmarks.process import follower

SIZES = 1, 50, 200, 500
PASSES = 3
EDITS = 12  # of each side in each pass; the first ones do not count
WARM_UP = 2
SPARE = 10  # connections, of the server's own and of who edits
HEARD = "only hear: one process, epoll over all connections"
BARE = "bare psycopg in each process: LISTEN, one SELECT, Pydantic"
OURS = "hotconfig in each process"
SIDES: dict[str, Kind] = {HEARD: "limit", BARE: "beside", OURS: "hotconfig"}
PROGRAMS = {HEARD: "listen", BARE: "bare", OURS: "hotconfig"}
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1 RETURNING (SELECT version + 1 FROM config_state)"


def run(place: Place) -> Table:
    """Sides take turns a pass at a time, each in another order: so many processes and connections fit only once."""
    table = Table("fan-out", "a profile of 6 KB is edited; until the last of N processes, all on this machine, has it")
    table.curves = [Curve("fan-out", "processes", "ms", {})]
    with psycopg.connect(place.conninfo) as connection:
        row = connection.execute("SELECT current_setting('max_connections')::int").fetchone()
        assert row is not None
        room = row[0] - SPARE
    order = random.Random(0)
    sizes = [size for size in SIZES if size <= room]
    table.left_out = [f"{size} processes: max_connections is too low" for size in SIZES if size > room]
    for size in sizes:
        samples: dict[str, list[float]] = {name: [] for name in SIDES}
        with place.database("fan_out") as conninfo:
            for _ in range(PASSES):
                for name in order.sample(list(SIDES), len(SIDES)):
                    samples[name] += _edits(conninfo, PROGRAMS[name], size)
        for name, taken in samples.items():
            table.figures.append(figure(f"{size}: {name}", SIDES[name], "ms", taken, limit=samples[HEARD]))
            table.curves[0].points.setdefault(name, []).append((size, table.figures[-1].median))
        ours = table.median(f"{size}: {OURS}")
        table.reaches.append(Reach(f"{size} processes", 2.0, ours / table.median(f"{size}: {HEARD}")))
    bare, times = (
        ", ".join(f"{table.median(f'{size}: {side}') / table.median(f'{size}: {to}'):.1f}" for size in sizes)
        for side, to in ((BARE, HEARD), (OURS, BARE))
    )
    table.notes.append(
        "The limit is one process that hears and reads nothing. That as many processes as there are clients wake up, "
        f"and read, is a floor of its own, on processors that they share with the server: bare ones take {bare} times "
        f"as long as the limit, and hotconfig's {times} times as long as those. What processor time a change costs "
        "either is measured under propagation."
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
