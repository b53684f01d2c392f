"""Scale: `python -m tests.scale --clients 200 --processes 4 --runs 1`.

A PostgreSQL, a NATS cluster of three, two relays, and clients in processes. First single edits while all is calm; then
writers go on while relays and the leader of the bucket's stream are killed and started again; then a last edit of every
document. Exit code 1 if a client showed what never was, stepped back, or ends with something else than PostgreSQL has.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import signal
import statistics
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
from chaos.check import Truth
from chaos.reader import ACTIVE, identity, model
from psycopg.rows import dict_row

from .place import PATIENCE, PROFILES, Place, place

CALM = 12  # edits
WRITERS = 3
PAUSE = 0.2  # seconds of a writer between two edits, at most
DEFAULT = "profile/default"  # what is also published as active
EDITS = (
    "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1",
    "UPDATE config_prompts SET system_prompt = 'prompt ' || random()",
    "UPDATE flags SET value = value + 1",
    *(
        "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1"
        f" WHERE profile_id = (SELECT id FROM config_profiles WHERE name = '{name}')"
        for name in (*PROFILES, "default")
    ),
)
EVERYTHING = f"{EDITS[0]}; {EDITS[2]}"
NOW = "SELECT name, version, document FROM config_documents"
HISTORY = 'SELECT document, version, snapshot, "timestamp" FROM config_history ORDER BY id'


@dataclass
class Kill:
    what: str
    at: int  # nanoseconds
    until: int = 0  # when the next one was


@dataclass
class Run:
    committed: dict[int, int] = field(default_factory=dict)  # version -> when it was about to commit, in nanoseconds
    calm: int = 0  # until when, in nanoseconds
    kills: list[Kill] = field(default_factory=list)
    changed: dict[str, list[int]] = field(default_factory=dict)  # document -> versions, as the history has them
    violations: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and clients are ended either way
    failed = 0
    for n in range(given.runs):
        faulthandler.dump_traceback_later(300, exit=True)  # what hangs is to be seen
        with place(given.clients, given.processes) as made:
            failed += not report(n + 1, made, run(made))
        faulthandler.cancel_dump_traceback_later()
    print(f"{given.runs} runs, {failed} with violations", flush=True)
    return 1 if failed else 0


def run(made: Place) -> Run:
    done = Run()
    with psycopg.connect(made.database, autocommit=True) as editor:
        for _ in range(CALM):
            edit(editor, done, EVERYTHING)
            time.sleep(0.4)
        done.calm = time.monotonic_ns()
        stop = threading.Event()
        with ThreadPoolExecutor(WRITERS) as pool:
            writing = [pool.submit(write, made.database, done, stop) for _ in range(WRITERS)]
            try:
                kill(made, done)
            finally:
                stop.set()
            for each in writing:
                each.result()
        last = edit(editor, done, EVERYTHING)
    converge(made, last, done)
    done.kills[-1].until = time.monotonic_ns()
    with psycopg.connect(made.database, row_factory=dict_row) as reader:
        truth = Truth(reader.execute(HISTORY).fetchall(), [])
        now = {row["name"]: row for row in reader.execute(NOW)}
    done.changed = {name: [version for version, _ in each] for name, each in truth.published.items()}
    check(made, truth, done)
    check_end(made, now, done)
    for process in made.processes:
        process.running.communicate(timeout=PATIENCE)
    return done


def edit(editor: psycopg.Connection, done: Run, statements: str) -> int:
    with editor.transaction():
        editor.execute(statements.encode())
        editor.execute("SET CONSTRAINTS config_at_commit IMMEDIATE")
        row = editor.execute("SELECT version FROM config_state").fetchone()
        assert row is not None
        done.committed[row[0]] = time.monotonic_ns()
    return int(row[0])


def write(database: str, done: Run, stop: threading.Event) -> None:
    with psycopg.connect(database, autocommit=True) as editor:
        while not stop.wait(random.uniform(0, PAUSE)):
            edit(editor, done, random.choice(EDITS))


def kill(made: Place, done: Run) -> None:
    """One thing after the other, each started again before the next."""
    for number in (0, 1):
        time.sleep(1)
        relay = made.relays[number]
        relay.kill()
        relay.wait()
        killed(done, "a relay")
        time.sleep(1)
        made.start_relay(number)
        made.wait_for_relay(number)
    leader = made.nats.leader()
    made.nats.kill(leader)
    killed(done, "the leader")
    time.sleep(3)
    made.nats.start(leader)
    time.sleep(1)
    both = made.nats.leader()
    made.nats.kill(both)
    made.relays[0].kill()
    made.relays[0].wait()
    killed(done, "the leader and a relay at once")
    time.sleep(3)
    made.nats.start(both)
    made.start_relay(0)
    time.sleep(1)


def killed(done: Run, what: str) -> None:
    now = time.monotonic_ns()
    if done.kills:
        done.kills[-1].until = now
    done.kills.append(Kill(what, now))


def converge(made: Place, last: int, done: Run) -> None:
    deadline = time.monotonic() + PATIENCE
    behind = -1
    while behind and time.monotonic() < deadline:
        time.sleep(0.02)
        behind = sum(
            n not in process.shown or process.shown[n][-1][1] != last
            for process in made.processes
            for n in range(len(process.documents))
        )
    if behind:
        done.violations.append(f"{behind} clients are not at version {last} after {PATIENCE:g} s")


def check(made: Place, truth: Truth, done: Run) -> None:
    for p, process in enumerate(made.processes):
        for n, shown in process.shown.items():
            name = f"client {n} of process {p}, {process.documents[n]}"
            versions = [version for _, version, _, _ in shown]
            if versions != sorted(set(versions)):
                done.violations.append(f"{name}: versions do not grow")
            done.violations += [
                f"{name}: showed {each[:3]}, which never was" for each in shown if each[:3] not in truth.contents
            ]


def check_end(made: Place, now: dict[str, dict[str, Any]], done: Run) -> None:
    """What each client shows last is what PostgreSQL has, by version and digest."""
    for p, process in enumerate(made.processes):
        for n, document in enumerate(process.documents):
            row = now[document]
            whole = identity(model(document).model_validate({**row["document"], "version": row["version"]}))
            if (last := process.shown[n][-1][:3] if n in process.shown else None) != whole:
                done.violations.append(f"client {n} of process {p}, {document}: ends with {last}, not {whole}")


def latencies(made: Place, done: Run) -> list[tuple[int, list[float]]]:
    """Of each edit, and document that it changed: when its last client had it, or a newer one, in nanoseconds, and the
    seconds that each of them waited."""
    followers: dict[str, list[tuple[list[int], list[int]]]] = {}
    for process in made.processes:
        for n, shown in process.shown.items():
            versions, times = [each[1] for each in shown], [each[3] for each in shown]
            followers.setdefault(process.documents[n].replace(ACTIVE, DEFAULT), []).append((versions, times))
    found = []
    for document, versions in done.changed.items():
        for version in versions:
            began = done.committed.get(version)
            had = [
                times[bisect_left(seen, version)]
                for seen, times in followers.get(document, [])
                if seen[-1] >= version and began is not None
            ]
            if had and began is not None:
                found.append((max(had), [(when - began) / 1e9 for when in had]))
    return found


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def report(n: int, made: Place, done: Run) -> bool:
    """Print the figures of a run; whether nothing was violated."""
    clients = sum(len(process.shown) for process in made.processes)
    shown = sum(len(each) for process in made.processes for each in process.shown.values())
    waited = latencies(made, done)
    calm = [each for when, each in waited if when < done.calm]
    last = [max(each) for each in calm]
    every = [second for each in calm for second in each]
    print(f"run {n}: {clients} clients, {len(done.committed)} edits, {shown} snapshots shown", flush=True)
    print(
        f"  while calm, from the commit to a client: median {statistics.median(every) * 1000:.1f} ms, "
        f"p99 {p99(every) * 1000:.1f} ms, max {max(every) * 1000:.1f} ms; "
        f"to the last: median {statistics.median(last) * 1000:.1f} ms, p99 {p99(last) * 1000:.1f} ms"
    )
    for kill in done.kills:
        # Counted where it arrives: what the next one holds up is the next one's.
        worst = max((max(each) for when, each in waited if kill.at <= when < kill.until), default=0.0)
        print(f"  {kill.what} killed: the slowest edit that arrived then took {worst:.2f} s to its last client")
    ends = Counter[str]()
    for process in made.processes:
        ends.update(process.end)
    print(f"  links that came back: {ends['reconnects']}; steps back: {ends['rewinds']}")
    if ends["rewinds"]:
        done.violations.append("a client stepped back, though PostgreSQL did not")
    print(f"  violations: {len(done.violations)}", flush=True)
    for violation in done.violations[:20]:
        print("   ", violation)
    return not done.violations


if __name__ == "__main__":
    sys.exit(main())
