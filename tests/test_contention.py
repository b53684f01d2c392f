"""Many editors at once: no deadlock, no gap, no lost edit."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from conftest import Connect
from psycopg import IsolationLevel
from psycopg.errors import SerializationFailure
from sessions import PATIENCE, add_profile, blocked, document, value, version

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
    assert len(made) == SESSIONS * TRANSACTIONS
    versions = observer.execute("SELECT DISTINCT version FROM config_history WHERE version > %s ORDER BY 1", [before])
    assert [number for (number,) in versions] == made
    told = [int(notify.payload) for notify in observer.notifies(timeout=PATIENCE, stop_after=len(made))]
    assert told == made
    assert observer.execute(STALE).fetchall() == []


APPLICATIONS = {
    "a deferred foreign key": """
        CREATE TABLE customers (id int PRIMARY KEY);
        CREATE TABLE orders (customer int REFERENCES customers DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO customers VALUES (1);
    """,
    "a deferred trigger": """
        CREATE TABLE customers (id int PRIMARY KEY, orders int DEFAULT 0);
        CREATE TABLE orders (customer int);
        INSERT INTO customers VALUES (1);
        CREATE FUNCTION count_order() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE customers SET orders = orders + 1 WHERE id = NEW.customer; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER count_order AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION count_order();
    """,
}


@pytest.mark.parametrize("application", APPLICATIONS)
def test_what_an_application_defers_comes_before_the_lock(connect: Connect, application: str) -> None:
    """An editor whose own deferred check waits for another editor does not hold the state row meanwhile."""
    waiting, holding = connect(autocommit=False), connect(autocommit=False)
    holding.execute(APPLICATIONS[application])
    holding.commit()
    before = version(holding)
    holding.execute("SELECT FROM customers FOR UPDATE")
    holding.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
    waiting.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    waiting.execute("INSERT INTO orders VALUES (1)")
    with blocked(waiting, waiting.commit) as done:
        holding.commit()  # else a deadlock
        done.result(PATIENCE)

    assert version(holding) == before + 2
    assert document(holding)["mlflow"] == {"experiment_name": "/y"}


def test_a_busy_table_with_columns_takes_no_lock(connect: Connect) -> None:
    """Of a table watched for some columns, an update of others neither marks nor waits for a publishing editor."""
    holder, busy = connect(autocommit=False), connect()
    busy.execute("""
        CREATE TABLE workers (id int PRIMARY KEY, kind text, seen timestamptz);
        INSERT INTO workers VALUES (1, 'gpu', now());
        CREATE FUNCTION kinds() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ SELECT jsonb_build_object('kinds', jsonb_agg(kind)) FROM workers $$;
        SELECT config_watch('workers', 'own', 'kinds()', ARRAY['kind']);
    """)
    holder.execute("SELECT FROM config_state FOR UPDATE")
    busy.execute("SET lock_timeout = '1ms'")

    busy.execute("UPDATE workers SET seen = now() + interval '1 s'")

    with pytest.raises(psycopg.errors.LockNotAvailable):
        busy.execute("UPDATE workers SET kind = 'cpu'")
    holder.rollback()
    busy.execute("UPDATE workers SET kind = 'cpu', seen = now()")
    assert value(busy, "SELECT document FROM config_documents WHERE name = 'own'") == {"kinds": ["cpu"]}
