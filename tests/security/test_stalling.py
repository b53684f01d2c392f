"""Locks: who may hold up whom. Nobody holds up a reader, and who only reads holds up nobody."""

from __future__ import annotations

from itertools import product

import psycopg
import pytest
from conftest import Connect
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from security.attacking import MECHANISM, SETTINGS, attacker
from sessions import document, version

from hotconfig import Client

MODES = ["ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE"]
ROWS = ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]
HOLDS = {
    "the state": "UPDATE config_mlflow SET experiment_name = '/held'; SET CONSTRAINTS ALL IMMEDIATE",
    "a row": "SELECT FROM config_mlflow FOR UPDATE",
    "the tables": f"LOCK TABLE {', '.join(SETTINGS)} IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("held", HOLDS)
def test_an_editor_who_never_commits(database: str, connect: Connect, role: str, held: str) -> None:
    """Readers go on, and new ones start; other editors wait as long as they wish to, and leave nothing half done."""
    eve, bob, owner = attacker(connect, role), connect(user=role), connect()
    before = owner.execute("TABLE config_documents").fetchall()
    with Client(database, heartbeat=0.05) as client:
        eve.execute(f"BEGIN; {HOLDS[held]}")
        seen = client.status().checked_at

        client.wait_for(until=lambda _: client.status().checked_at != seen, timeout=20)
        assert client.status().healthy
        with Client(database) as another:
            assert another.current() == client.current()
        bob.execute("SET lock_timeout = '50ms'")
        with pytest.raises(LockNotAvailable):
            bob.execute("UPDATE config_mlflow SET experiment_name = '/x'")
        eve.execute("ROLLBACK")
        assert owner.execute("TABLE config_documents").fetchall() == before

        bob.execute("UPDATE config_mlflow SET experiment_name = '/x'")
        assert client.wait_for(version(owner)).mlflow.experiment_name == "/x"


@pytest.mark.parametrize("member_of", ["hotconfig_reader", None])
def test_locks_that_are_refused(connect: Connect, role: str, member_of: str | None) -> None:
    """A reader may take none that an edit would wait for, on any table or row."""
    eve = attacker(connect, role, member_of)
    for table, mode in product(MECHANISM + SETTINGS, [*MODES, "ACCESS EXCLUSIVE"]):
        with pytest.raises(InsufficientPrivilege):
            eve.execute(f"BEGIN; LOCK TABLE {table} IN {mode} MODE NOWAIT")
        eve.execute("ROLLBACK")
    for table, mode in product(MECHANISM + SETTINGS, ROWS):
        with pytest.raises(InsufficientPrivilege):
            eve.execute(f"SELECT FROM {table} FOR {mode}")


def test_locks_of_an_editor(connect: Connect, role: str) -> None:
    """The tables of the mechanism are closed to her too."""
    eve = attacker(connect, role)
    for table, mode in product(MECHANISM, [*MODES, "ACCESS EXCLUSIVE"]):
        with pytest.raises(InsufficientPrivilege):
            eve.execute(f"BEGIN; LOCK TABLE {table} IN {mode} MODE NOWAIT")
        eve.execute("ROLLBACK")


def test_a_reader_who_holds_all_that_he_may(database: str, connect: Connect, role: str) -> None:
    """A snapshot, a lock on what he reads, a channel and a thousand advisory locks: an edit arrives all the same."""
    eve, owner = attacker(connect, role, "hotconfig_reader"), connect()
    with Client(database) as client:
        eve.execute("LISTEN hotconfig")
        eve.execute("SELECT pg_advisory_lock(i) FROM generate_series(0, 999) AS i")
        eve.execute("SELECT pg_advisory_lock(hashtextextended('hotconfig public', 0))")
        eve.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE config_state IN ACCESS SHARE MODE")
        eve.execute("SELECT count(*) FROM config_state, config_documents, config_history")

        owner.execute("SET lock_timeout = '10s'")
        owner.execute("UPDATE config_mlflow SET experiment_name = '/x'")

        assert client.wait_for(version(owner), timeout=20).mlflow.experiment_name == "/x"
    assert document(owner)["mlflow"] == {"experiment_name": "/x"}
    eve.close()


def test_a_session_that_is_lost_lets_go(connect: Connect, role: str) -> None:
    """An administrator ends the session of whoever holds the state, and the edit behind it goes through."""
    eve, owner = attacker(connect, role), connect()
    eve.execute(f"BEGIN; {HOLDS['the state']}")
    assert isinstance(eve, psycopg.Connection)
    owner.execute("SELECT pg_terminate_backend(%s, 10000)", [eve.info.backend_pid])
    owner.execute("SET lock_timeout = '10s'")
    owner.execute("UPDATE config_mlflow SET experiment_name = '/x'")
    assert document(owner)["mlflow"] == {"experiment_name": "/x"}


BREAKS = [
    "ALTER TABLE his.rows RENAME v TO w",
    "ALTER TABLE his.rows ADD CHECK (his.raises()) NOT VALID",
    "CREATE TRIGGER t BEFORE INSERT ON his.rows FOR EACH ROW EXECUTE FUNCTION his.raises_too()",
    "DROP FUNCTION public.rows_document()",
    "BEGIN; LOCK TABLE his.rows",
]


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_watched_table_of_her_own(connect: Connect, role: str, breaks: str) -> None:
    """What she does to it is refused or hers to bear: the document stays, and edits elsewhere go through."""
    eve, owner = attacker(connect, role), connect()
    eve.execute("""
        CREATE TABLE his.rows (v int); GRANT SELECT ON his.rows TO PUBLIC;
        CREATE FUNCTION his.raises() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE FUNCTION his.raises_too() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    """)
    owner.execute(f"""
        CREATE FUNCTION rows_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = ''
        AS $$ SELECT jsonb_build_object('v', max(v)) FROM his.rows $$;
        ALTER FUNCTION rows_document() OWNER TO {role};
        SELECT config_watch('his.rows', 'own', 'rows_document()');
    """)
    eve.execute("INSERT INTO his.rows VALUES (1)")
    assert document(owner, "own") == {"v": 1}
    eve.execute(breaks)

    owner.execute("SET lock_timeout = '10s'")
    owner.execute("UPDATE config_mlflow SET experiment_name = '/x'")
    assert document(owner)["mlflow"] == {"experiment_name": "/x"}

    if not breaks.startswith("BEGIN"):
        with pytest.raises(psycopg.Error):
            eve.execute("INSERT INTO his.rows VALUES (2)")
    assert document(owner, "own") == {"v": 1}
    eve.close()
