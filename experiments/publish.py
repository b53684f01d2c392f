"""What an edit costs, with 10 and with 10,000 profiles; and what the settings of the publishing pass are worth.

    python experiments/publish.py [edits]

The session that edits is opened while the tables are empty, as an application's may be: its plans are made then.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psycopg

from hotconfig import embedded, migrations

FILL = """
    INSERT INTO config_profiles (name) SELECT 'p' || n FROM generate_series(1, %(n)s) AS n;
    INSERT INTO config_ai_infra (profile_id, llm_endpoint, llm_temperature, llm_max_tokens)
    SELECT id, 'e', 0.7, 1 FROM config_profiles;
    INSERT INTO config_genie_spaces (profile_id, space_id, space_name) SELECT id, 's', 'n' FROM config_profiles;
    INSERT INTO config_mlflow (profile_id, experiment_name) SELECT id, '/x' FROM config_profiles;
    INSERT INTO config_prompts (profile_id, system_prompt, slide_editing_instructions, user_prompt_template)
    SELECT id, repeat('prompt ', 400), repeat('edit ', 500), '{question}' FROM config_profiles;
    UPDATE config_profiles SET is_default = (name = 'p1');
"""
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1 WHERE profile_id = (%s)"
EMPTY = "UPDATE config_profiles SET is_default = false; DELETE FROM config_profiles"


def median(connection: psycopg.Connection, edits: int) -> float:
    ids = [row[0] for row in connection.execute("SELECT id FROM config_profiles ORDER BY id LIMIT 10")]
    times = []
    for n in range(edits):
        began = time.perf_counter()
        connection.execute(EDIT, [ids[n % len(ids)]])
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1000


def main(edits: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        with psycopg.connect(url, autocommit=True) as owner:
            for label, change in (
                ("as shipped", ""),
                ("without enable_seqscan = off", "RESET enable_seqscan"),
                ("and without force_generic_plan", "RESET plan_cache_mode"),
            ):
                if change:
                    owner.execute(f"ALTER FUNCTION config_publish_marked() {change}")
                for count in (10, 10_000):
                    with psycopg.connect(url, autocommit=True) as editor:
                        for _ in range(6):  # the plans of this session, made for empty tables
                            editor.execute("INSERT INTO config_profiles (name) VALUES ('p')")
                            editor.execute("DELETE FROM config_profiles")
                        psycopg.ClientCursor(owner).execute(FILL, {"n": count})
                        cost = median(editor, edits)
                        editor.execute("ALTER TABLE config_ai_infra DISABLE TRIGGER USER")
                        bare = median(editor, edits)
                        editor.execute("ALTER TABLE config_ai_infra ENABLE TRIGGER USER")
                        print(f"{label}, {count} profiles: {cost:.2f} ms an edit, {bare:.2f} ms without triggers")
                        owner.execute(EMPTY)
        embedded.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
