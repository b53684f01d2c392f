"""propagation: from the UPDATE to the callback in another process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack

import psycopg

from benchmarks.measure import Kind, LeftOut, Reach, Table, by_turns, figure
from benchmarks.place import Place
from benchmarks.process import Follower, follower
from benchmarks.stores import STORES, Store
from hotconfig.profile import ProfileConfig

ROUNDS = 600
LIMIT = "bare psycopg: LISTEN, one SELECT, Pydantic"
OURS = "hotconfig: subscribe()"
KINDS: dict[str, Kind] = {LIMIT: "limit", OURS: "hotconfig"}
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1"
VERSION = "SELECT version FROM config_state"


def run(place: Place) -> Table:
    """Each side has a database of its own on the same server, with the same profile, so that one edit wakes one."""
    table = Table("propagation", "a profile of 6 KB is edited by psycopg; until a process has it validated and is told")
    with ExitStack() as stack:
        sides: dict[str, Callable[[], float]] = {}
        databases = {side: stack.enter_context(place.database(f"propagation_{side}")) for side in ("bare", "hotconfig")}
        for name, side in ((LIMIT, "bare"), (OURS, "hotconfig")):
            editor = stack.enter_context(psycopg.connect(databases[side], autocommit=True))
            following = stack.enter_context(follower(["-m", "benchmarks.follow", side, databases[side]]))
            sides[name] = _edits(editor, following)
        with psycopg.connect(databases["bare"]) as connection:
            profile = document(connection)
        for name, start in STORES:
            try:
                store = stack.enter_context(start())
            except LeftOut as left_out:
                table.left_out.append(f"{name}: {left_out}")
                continue
            sides[store.name] = _puts(store, stack.enter_context(follower(store.reader)), profile)
        samples = by_turns(sides, ROUNDS, warm_up=ROUNDS // 10)
    for name, taken in samples.items():
        table.figures.append(figure(name, KINDS.get(name, "peer"), "ms", taken, limit=samples[LIMIT]))
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


def _puts(store: Store, following: Follower, profile: ProfileConfig) -> Callable[[], float]:
    versions = itertools.count(1)

    def sample() -> float:
        version = next(versions)
        text = profile.model_copy(update={"version": version}).model_dump_json()
        began = time.monotonic_ns()
        store.put(text)
        return (following.has(version) - began) / 1e9

    return sample
