"""Two sessions make two different profiles the default one, at the same time. What holds them to one?

    python experiments/default_profile.py [rounds]

Compares a deferrable partial exclusion constraint with the guard that runs at commit under the lock of config_state.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg

from hotconfig import embedded, migrations

CONSTRAINT = """
    ALTER TABLE config_profiles ADD CONSTRAINT one_default
    EXCLUDE (is_default WITH =) WHERE (is_default) DEFERRABLE INITIALLY DEFERRED
"""


def race(url: str) -> tuple[list[str], float]:
    """What both sessions got at commit, and how long it took."""
    outcomes: list[str] = []
    both = threading.Barrier(2)

    def session(name: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("UPDATE config_profiles SET is_default = true WHERE name = %s", [name])
            both.wait()
            try:
                connection.execute("COMMIT")
            except psycopg.Error as error:
                outcomes.append(type(error).__name__)
            else:
                outcomes.append("committed")

    threads = [threading.Thread(target=session, args=(name,)) for name in ("a", "b")]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes), time.perf_counter() - began


def bypass(connection: psycopg.Connection) -> str:
    """What happens to two defaults when a superuser switches triggers off."""
    connection.execute("SET session_replication_role = replica")
    try:
        connection.execute("UPDATE config_profiles SET is_default = true")
    except psycopg.Error as error:
        return type(error).__name__
    else:
        connection.execute("UPDATE config_profiles SET is_default = false")
        return "committed"
    finally:
        connection.execute("SET session_replication_role = origin")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO config_profiles (name) VALUES ('a'), ('b')")
            for table, columns, values in (
                ("config_ai_infra", "llm_endpoint, llm_temperature, llm_max_tokens", "'e', 0.7, 1"),
                ("config_genie_spaces", "space_id, space_name", "'s', 'n'"),
                ("config_mlflow", "experiment_name", "'/x'"),
                (
                    "config_prompts",
                    "system_prompt, slide_editing_instructions, user_prompt_template",
                    "'p','e','{question}'",
                ),
            ):
                connection.execute(
                    f"INSERT INTO {table} (profile_id, {columns}) SELECT id, {values} FROM config_profiles"
                )
            for label, before in (("guard", ""), ("exclusion constraint", CONSTRAINT)):
                connection.execute(before)
                seen: Counter[str] = Counter()
                times: list[float] = []
                for _ in range(rounds):
                    outcome, seconds = race(url)
                    seen[" + ".join(outcome)] += 1
                    times.append(seconds)
                    connection.execute("UPDATE config_profiles SET is_default = false")
                median = sorted(times)[len(times) // 2]
                print(f"{label}: {dict(seen)}, median {median * 1000:.0f} ms; triggers bypassed: {bypass(connection)}")
        embedded.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
