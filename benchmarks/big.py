"""big: a document of 1 MB, and 10,000 profiles that change in one transaction."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from benchmarks.measure import Figure, Reach, Table, figure
from benchmarks.place import Place
from benchmarks.process import Follower, follower

PROMPT = 1 << 20  # bytes
EDITS = 30
PROFILES = 10_000


def run(place: Place) -> Table:
    """Reported, since nobody has said how long it may take: it has to arrive, and memory has to stay bounded."""
    table = Table("big", "an edit, until a client in another process has it")
    with place.database("big") as conninfo:
        edit = "UPDATE config_prompts SET system_prompt = rpad(%s, %s, 'prompt ')"
        taken, before, after = _edits(conninfo, [(edit, (str(n), PROMPT)) for n in range(EDITS)])
    table.figures = [
        figure("a prompt of 1 MB", "hotconfig", "ms", taken),
        Figure("memory of the client: first", "hotconfig", "MB", before),
        Figure(f"memory of the client: after {EDITS} of them", "hotconfig", "MB", after),
    ]
    with place.database("big", profiles=PROFILES) as conninfo:
        taken, _, _ = _edits(conninfo, [("UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1", ())])
    table.figures.append(Figure(f"{PROFILES:,} profiles in one transaction", "hotconfig", "s", taken[0]))
    # Two documents, old and new, and what was read of a third, each in several forms.
    table.reaches = [Reach("memory that 1 MB adds, however often", 32, after - before, "MB")]
    return table


def _edits(conninfo: str, edits: list[tuple[str, tuple[object, ...]]]) -> tuple[list[float], float, float]:
    """Seconds of each; resident megabytes of the client before and after."""
    taken = []
    with follower(["-m", "benchmarks.follow", "hotconfig", conninfo]) as client:
        before = _megabytes(client)
        with psycopg.connect(conninfo, autocommit=True) as editor:
            for statement, parameters in edits:
                row = editor.execute("SELECT version + 1 FROM config_state").fetchone()
                assert row is not None
                began = time.monotonic_ns()
                editor.execute(statement.encode(), parameters)
                taken.append((client.has(row[0]) - began) / 1e9)
        return taken, before, _megabytes(client)


def _megabytes(client: Follower) -> float:
    status = Path(f"/proc/{client.process.pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1000
