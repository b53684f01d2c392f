"""What a list, a page of the history, a difference and an edit cost with 10,000 profiles and 1,000,000 rows of history.

    python experiments/scale.py [profiles] [rows] [times]

The rows are loaded past the triggers. Prints the median of each, and how the server finds its rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from hotconfig import embedded, migrations
from hotconfig.admin import Admin

SETTINGS = """
    SET session_replication_role = replica;
    INSERT INTO config_profiles (name, is_default) SELECT 'p' || n, n = 1 FROM generate_series(1, %(profiles)s) AS n;
    INSERT INTO config_ai_infra (profile_id, llm_endpoint, llm_temperature, llm_max_tokens)
    SELECT id, 'e', 0.7, 1 FROM config_profiles;
    INSERT INTO config_genie_spaces (profile_id, space_id, space_name) SELECT id, 's', 'n' FROM config_profiles;
    INSERT INTO config_mlflow (profile_id, experiment_name) SELECT id, '/x' FROM config_profiles;
    INSERT INTO config_prompts (profile_id, system_prompt, slide_editing_instructions, user_prompt_template)
    SELECT id, repeat('prompt ', 100), repeat('edit ', 100), '{question}' FROM config_profiles;
"""
# The first round creates the profiles; then every other version is of the first profile, as where most people edit the
# default one, and the others are of the rest in turn. One edit in a thousand is Alice's.
HISTORY = """
    INSERT INTO config_history (version, profile_id, document, domain, action, changed_by, db_user, application_name,
                                changes, snapshot, "timestamp")
    SELECT n, d.id, d.name, CASE WHEN n <= %(profiles)s THEN 'profile' ELSE 'ai_infra' END,
           CASE WHEN n <= %(profiles)s THEN 'create' ELSE 'update' END,
           CASE n %% 1000 WHEN 0 THEN 'alice' ELSE 'bob' END,
           'postgres', 'scale', jsonb_build_object('llm_max_tokens', jsonb_build_object('old', n - 1, 'new', n)),
           jsonb_set(d.document, '{ai_infra,llm_max_tokens}', to_jsonb(n)), now() - (%(rows)s - n) * interval '1 min'
    FROM generate_series(1, %(rows)s) AS n
    JOIN config_profile_documents(ARRAY(SELECT id FROM config_profiles)) d
      ON d.id = CASE WHEN n > %(profiles)s AND n %% 2 = 0 THEN 1 ELSE (n - 1) %% %(profiles)s + 1 END
    ORDER BY n;
"""
DOCUMENTS = """
    INSERT INTO config_documents (name, version, token, document)
    SELECT name, %(rows)s - %(profiles)s + id, gen_random_uuid(), document
    FROM config_profile_documents(ARRAY(SELECT id FROM config_profiles));
    INSERT INTO config_documents
    SELECT 'active', version, token, document FROM config_documents WHERE name = 'profile/p1';
    UPDATE config_state SET version = %(rows)s;
    RESET session_replication_role;
    ANALYZE;
"""


def main(profiles: int = 10_000, rows: int = 1_000_000, times: int = 15) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        began = time.perf_counter()
        with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as owner:
            for statements in (SETTINGS, HISTORY, DOCUMENTS):
                owner.execute(statements, {"profiles": profiles, "rows": rows})
            size = owner.execute("SELECT pg_size_pretty(pg_total_relation_size('config_history'))").fetchone()
        loaded = time.perf_counter() - began
        print(f"{profiles} profiles, {rows} rows of history ({size[0] if size else '?'}), loaded in {loaded:.0f} s")
        name = f"p{profiles // 2 + 1}"  # an odd one, which has edits
        third, last = (rows // 3 // profiles * profiles + profiles // 2 + 1, rows - profiles + profiles // 2 + 1)
        old = datetime.now(UTC) - timedelta(minutes=rows * 0.9)
        tokens = iter(range(2_000_000, 3_000_000))
        with Admin(url) as admin, Admin(url, dry_run=True) as dry:
            document = f"profile/{name}"
            for label, action in (
                ("list the profiles", admin.profiles),
                ("history: newest page", lambda: admin.history(limit=100)),
                ("history: of a profile", lambda: admin.history(document=document, limit=100)),
                ("history: of a path", lambda: admin.history(path="ai_infra.llm_max_tokens", limit=100)),
                ("history: by one in a thousand", lambda: admin.history(actor="alice", limit=100)),
                ("history: by nobody", lambda: admin.history(actor="nobody", limit=100)),
                ("history: a page in the middle", lambda: admin.history(before=rows // 2, limit=100)),
                ("history: until long ago", lambda: admin.history(until=old, limit=100)),
                ("difference of two versions", lambda: admin.diff(name, third, last)),
                ("difference of two old versions of the first profile", lambda: admin.diff("p1", third, third + 1000)),
                ("the first profile long ago", lambda: admin.snapshot("p1", at=old)),
                ("edit", lambda: admin.update(name, {"ai_infra.llm_max_tokens": next(tokens)})),
                ("dry run of a roll back", lambda: dry.rollback(name)),
                ("dry run of a roll back of the first profile", lambda: dry.rollback("p1", to=third)),
            ):
                measure(admin, label, action, times)
        embedded.leave()


def measure(admin: Admin, label: str, action: Callable[[], object], times: int) -> None:
    """Print the median, and how the server finds the rows of the statement that took longest."""
    found: dict[str, tuple[float, Any]] = {}
    began = [0.0]

    def before(*_: object) -> None:
        began[0] = time.perf_counter()

    def after(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        took = time.perf_counter() - began[0]
        if statement.lstrip().startswith("SELECT") and took > found.get(statement, (0.0, None))[0]:
            found[statement] = took, parameters

    engine = admin._engine  # to see its statements
    action()
    sa.event.listen(engine, "before_cursor_execute", before)
    sa.event.listen(engine, "after_cursor_execute", after)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    sa.event.remove(engine, "before_cursor_execute", before)
    sa.event.remove(engine, "after_cursor_execute", after)
    print(f"{label}: {sorted(taken)[times // 2] * 1000:.1f} ms, at best {min(taken) * 1000:.1f} ms")
    if found:
        statement, (_, parameters) = max(found.items(), key=lambda item: item[1][0])
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", parameters)
            for line in plan.scalars():
                if any(word in line for word in ("Scan", "Sort Key", "Rows Removed", "Execution Time")):
                    print(f"    {line.strip()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
