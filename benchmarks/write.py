"""write: what the triggers add to an UPDATE, whatever the number of profiles and the length of the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg

from benchmarks.measure import Curve, Figure, Kind, Reach, Table, by_turns, figure
from benchmarks.place import Place

ROUNDS = 250
PROFILES = 10, 100, 1_000, 10_000
HISTORY = 0, 10_000, 100_000, 1_000_000
WITH, WITHOUT = "config_ai_infra", "without_triggers"
SIDES: tuple[tuple[str, Kind, str], ...] = (WITHOUT, "limit", "without triggers"), (WITH, "hotconfig", "with triggers")
EDIT = "UPDATE {} SET llm_max_tokens = llm_max_tokens + 1 WHERE profile_id = %s"
ALL = f"UPDATE {WITH} SET llm_max_tokens = llm_max_tokens + 1"
COPY = f"CREATE TABLE {WITHOUT} (LIKE {WITH} INCLUDING ALL); INSERT INTO {WITHOUT} SELECT * FROM {WITH}; ANALYZE"
# Of edits long ago, of all profiles in turn, as they would have been written.
PAST = """
    SET session_replication_role = replica;
    WITH moved AS (UPDATE config_state SET version = version + %(rows)s RETURNING version)
    INSERT INTO config_history (version, profile_id, document, domain, action, changed_by, db_user, application_name,
                                changes, snapshot, "timestamp")
    SELECT moved.version - %(rows)s + n, p.id, 'profile/' || p.name, 'ai_infra', 'update', 'somebody', 'postgres',
           'past', '{"llm_max_tokens": {"new": 2, "old": 1}}', '{"version": 1}',
           now() - (%(rows)s - n) * interval '1 min'
    FROM moved, generate_series(1, %(rows)s) AS n JOIN config_profiles p ON p.name = 'p' || n %% 10 + 1;
    RESET session_replication_role
"""


def run(place: Place) -> Table:
    """The same UPDATE of one row, committed, of a table with triggers and of its copy without, in one session."""
    table = Table("write", "an UPDATE of one profile by psycopg, committed, with the triggers and without")
    added: list[float] = []
    for curve, sizes in (
        (Curve("write, by profiles", "profiles", "ms", {}), _by_profiles(place)),
        (Curve("write, by history", "rows of history", "ms", {}), _by_history(place)),
    ):
        table.curves.append(curve)
        for size, editor in sizes:
            editor.execute(COPY)
            samples = by_turns({each: _edit(editor, each) for each in (WITHOUT, WITH)}, ROUNDS, warm_up=ROUNDS // 10)
            for name, kind, words in SIDES:
                label = f"{size:,} {curve.size}, {words}"
                table.figures.append(figure(label, kind, "ms", samples[name], limit=samples[WITHOUT]))
                curve.points.setdefault(words, []).append((size, table.figures[-1].median))
            added.append(table.figures[-1].median - table.figures[-2].median)
            editor.execute(f"DROP TABLE {WITHOUT}")
    with place.database("write_all", profiles=PROFILES[-1]) as conninfo, _session(conninfo) as editor:
        seconds = _timed(lambda: editor.execute(ALL))
    table.figures.append(Figure(f"{PROFILES[-1]:,} profiles in one UPDATE", "hotconfig", "s", seconds))
    table.reaches = [
        Reach(f"added to the median, {PROFILES[0]} profiles", 0.8, added[0], "ms"),
        Reach("added to the median, whatever the size", 0.8, max(added), "ms"),
        Reach(f"{PROFILES[-1]:,} profiles in one UPDATE", 6, seconds, "s"),
    ]
    return table


def _by_profiles(place: Place) -> Iterator[tuple[int, psycopg.Connection]]:
    for size in PROFILES:
        with place.database("write", profiles=size) as conninfo, _session(conninfo) as editor:
            yield size, editor


def _by_history(place: Place) -> Iterator[tuple[int, psycopg.Connection]]:
    with place.database("write", profiles=PROFILES[0]) as conninfo, _session(conninfo) as editor:
        before = 0
        for size in HISTORY:
            if size > before:
                psycopg.ClientCursor(editor).execute(PAST, {"rows": size - before})
                editor.execute("VACUUM ANALYZE config_history")
                editor.execute("CHECKPOINT")  # else it would write back all of this while the edits are timed
            before = size
            yield size, editor


def _session(conninfo: str) -> psycopg.Connection:
    return psycopg.connect(conninfo, autocommit=True)


def _edit(editor: psycopg.Connection, table: str) -> Callable[[], float]:
    row = editor.execute(f"SELECT min(profile_id) FROM {table}").fetchone()
    statement = EDIT.format(table)
    return lambda: _timed(lambda: editor.execute(statement, row))


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
