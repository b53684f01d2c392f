"""Many editors at once: no deadlock, no gap, no lost edit."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from conftest import Connect
from edits import PATIENCE, add_profile, blocked, document, value, version
from psycopg import IsolationLevel
from psycopg.errors import SerializationFailure

SESSIONS = 4
TRANSACTIONS = 200

EDITS = [
    "UPDATE config_profiles SET description = %(n)s::text WHERE id = %(profile)s",
    "UPDATE config_ai_infra SET llm_max_tokens = %(n)s WHERE profile_id = %(profile)s",
    "UPDATE config_genie_spaces SET space_name = %(n)s::text WHERE profile_id = %(profile)s",
    "UPDATE config_mlflow SET experiment_name = '/' || %(n)s WHERE profile_id = %(profile)s",
    "UPDATE config_prompts SET system_prompt = %(n)s::text WHERE profile_id = %(profile)s",
]
STALE = """
    SELECT d.name FROM config_documents d
    FULL JOIN config_profile_documents(ARRAY(SELECT id FROM config_profiles)) t ON t.name = d.name
    WHERE d.name <> 'active' AND d.document IS DISTINCT FROM t.document
"""


def edit_at_random(editor: psycopg.Connection, profiles: list[int], seed: int) -> int:
    """TRANSACTIONS of them, each over some tables in random order; how many were refused with 40001."""
    chance = random.Random(seed)
    refused = 0
    for number in range(1, TRANSACTIONS + 1):
        edits = chance.sample(EDITS, chance.randint(1, len(EDITS)))
        while True:
            try:
                with editor.transaction():
                    for edit in edits:
                        # The same profile for all and one of its own for some: rows of several are locked in any order.
                        editor.execute(edit, {"n": number, "profile": chance.choice(profiles)})
            except SerializationFailure:
                refused += 1
            else:
                break
    return refused


@pytest.fixture
def editors(connect: Connect) -> list[psycopg.Connection]:
    return [connect() for _ in range(SESSIONS)]


def at_once(actions: list[Callable[[], int]]) -> list[int]:
    start = Barrier(len(actions))

    def run(action: Callable[[], int]) -> int:
        start.wait(PATIENCE)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


@pytest.mark.parametrize("level", [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ])
def test_four_sessions_with_profiles_of_their_own(
    connect: Connect, editors: list[psycopg.Connection], level: IsolationLevel
) -> None:
    """800 transactions over the five tables in random order: no deadlock, versions without a gap, notified in order.

    In REPEATABLE READ the editors retry after 40001; at the end every document is what its tables say.
    """
    observer = connect()
    profiles = [[add_profile(observer, f"{session}.{n}") for n in range(3)] for session in range(SESSIONS)]
    observer.execute("LISTEN hotconfig")
    before = version(observer)
    for editor in editors:
        editor.isolation_level = level

    refused = at_once(
        [
            lambda editor=editor, own=own, seed=seed: edit_at_random(editor, own, seed)  # type: ignore[misc]
            for seed, (editor, own) in enumerate(zip(editors, profiles, strict=True))
        ]
    )

    assert (sum(refused) > 0) == (level is IsolationLevel.REPEATABLE_READ)
    made = list(range(before + 1, version(observer) + 1))
    assert len(made) > SESSIONS * TRANSACTIONS * 0.9  # an edit may find the same number there
    versions = observer.execute("SELECT DISTINCT version FROM config_history WHERE version > %s ORDER BY 1", [before])
    assert [number for (number,) in versions] == made
    told = [int(notify.payload) for notify in observer.notifies(timeout=PATIENCE, stop_after=len(made))]
    assert told == made
    assert observer.execute(STALE).fetchall() == []
