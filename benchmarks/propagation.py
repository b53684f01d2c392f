"""propagation: from the UPDATE to the callback in another process."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks.measure import Kind, LeftOut, Reach, Table, by_turns, figure
from benchmarks.place import Place
from benchmarks.process import Follower, follower
from benchmarks.stores import STORES, Store
from hotconfig.profile import ProfileConfig

PROCESSES = 5  # of each side, one after the other: two of the same program differ by several per cent
ROUNDS = 120  # with each
LIMIT = "bare psycopg: LISTEN, one SELECT, Pydantic"
OURS = "hotconfig: subscribe()"
KINDS: dict[str, Kind] = {LIMIT: "limit", OURS: "hotconfig"}
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1"
VERSION = "SELECT version FROM config_state"


def run(place: Place) -> Table:
    """Each side has a database of its own on the same server, with the same profile, so that one edit wakes one."""
    table = Table("propagation", "a profile of 6 KB is edited by psycopg; until a process has it validated and is told")
    samples: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        databases = {
            name: stack.enter_context(place.database(f"propagation_{side}"))
            for name, side in ((LIMIT, "bare"), (OURS, "hotconfig"))
        }
        editors = {name: stack.enter_context(psycopg.connect(to, autocommit=True)) for name, to in databases.items()}
        stores: list[Store] = []
        for name, start in STORES:
            try:
                stores.append(stack.enter_context(start()))
            except LeftOut as left_out:
                table.left_out.append(f"{name}: {left_out}")
        profile, versions = document(editors[LIMIT]), itertools.count(1)
        for _ in range(PROCESSES):
            with ExitStack() as processes:
                following = {
                    LIMIT: processes.enter_context(follower(["-m", "benchmarks.follow", "bare", databases[LIMIT]])),
                    OURS: processes.enter_context(follower(["-m", "benchmarks.follow", "hotconfig", databases[OURS]])),
                }
                sides = {name: _edits(editors[name], each) for name, each in following.items()}
                for store in stores:
                    sides[store.name] = _puts(store, processes.enter_context(follower(store.reader)), profile, versions)
                by_turns(sides, ROUNDS // 10)  # to warm up
                before = {name: _spent(editors[name], each) for name, each in following.items()}
                for name, taken in by_turns(sides, ROUNDS).items():
                    samples[name] += taken
                for name, each in following.items():
                    for what, seconds in _spent(editors[name], each).items():
                        spent[f"processor, {name}: {what}"].append((seconds - before[name][what]) / ROUNDS)
    for name, taken in samples.items():
        table.figures.append(figure(name, KINDS.get(name, "peer"), "ms", taken, limit=samples[LIMIT]))
    table.figures += [figure(name, "beside", "us", taken) for name, taken in spent.items()]
    ours = table.median(OURS)
    table.reaches = [
        Reach("to the limit, median", 1.15, ours / table.median(LIMIT)),
        Reach("to the limit, 99th percentile", 1.5, table.p99(OURS) / table.p99(LIMIT)),
    ]
    for etcd in (name for name in samples if name.startswith("etcd")):
        table.reaches.append(Reach(f"to {etcd}", 1.0, ours / table.median(etcd)))
        floor = table.median(LIMIT) / table.median(etcd)
        table.notes.append(
            f"The limit itself, in which nothing is of hotconfig's client, takes {floor:.2f} times as long as etcd: "
            "most of it is a transaction of PostgreSQL, in which the edit is checked, and audited, too."
        )
    return table


def document(connection: psycopg.Connection) -> ProfileConfig:
    """The default profile as it is published."""
    row = connection.execute("SELECT document::text FROM config_documents WHERE name = 'active'").fetchone()
    assert row is not None
    return ProfileConfig.model_validate_json(row[0])


def _edits(editor: psycopg.Connection, following: Follower) -> Callable[[], float]:
    row = editor.execute(VERSION).fetchone()
    assert row is not None
    versions = itertools.count(row[0] + 1)

    def sample() -> float:
        began = time.monotonic_ns()
        editor.execute(EDIT)
        return (following.has(next(versions)) - began) / 1e9

    return sample


def _puts(store: Store, following: Follower, profile: ProfileConfig, versions: Iterator[int]) -> Callable[[], float]:
    def sample() -> float:
        version = next(versions)
        text = profile.model_copy(update={"version": version}).model_dump_json()
        began = time.monotonic_ns()
        store.put(text)
        return (following.has(version) - began) / 1e9

    return sample


def _spent(editor: psycopg.Connection, following: Follower) -> dict[str, float]:
    """Seconds of processor that its threads have taken, and its session if the server is on this machine."""
    spent = following.spent()
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    for (pid,) in editor.execute(sessions):
        path = Path(f"/proc/{pid}/schedstat")
        if path.exists():
            spent["its session"] = int(path.read_text("ascii").split()[0]) / 1e9
    return spent
