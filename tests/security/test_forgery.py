"""What an editor may say of herself, and what she cannot: everything else in the history is true."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect
from psycopg.errors import CheckViolation
from security.attacking import attacker, standing
from sessions import document, history, value, version


@pytest.fixture
def eve(connect: Connect, role: str) -> psycopg.Connection:
    return attacker(connect, role)


def test_what_can_be_claimed(connect: Connect, eve: psycopg.Connection) -> None:
    """Actor, note and application; but role, version, time and content are the database's."""
    owner = connect()
    before, began = version(owner), value(owner, "SELECT clock_timestamp()")
    eve.execute("""
        SET hotconfig.actor = 'the boss'; SET hotconfig.note = 'approved'; SET application_name = 'payroll';
        SET ROLE hotconfig_editor
    """)
    eve.execute(
        "UPDATE config_profiles SET description = 'x', created_by = 'a', updated_by = 'b', updated_at = 'epoch'"
    )

    said = history(owner, "changed_by", "note", "application_name")
    assert said == [("the boss", "approved", "payroll")]
    assert history(owner, "db_user", "version") == [(eve.info.user, before + 1)]
    ((when, changes, snapshot),) = history(owner, "timestamp", "changes", "snapshot")
    assert began < when <= value(owner, "SELECT clock_timestamp()")
    assert changes == {"description": {"old": "", "new": "x"}}
    assert snapshot == document(owner)
    assert value(owner, "SELECT updated_at FROM config_profiles") > began


WAYS = {
    "COPY": "COPY config_profiles (name) FROM STDIN",
    "MERGE": "MERGE INTO config_mlflow USING config_state ON true WHEN MATCHED THEN UPDATE SET experiment_name = '/x'",
    "upsert": "INSERT INTO config_mlflow (profile_id, experiment_name) VALUES (1, '/x')"
    " ON CONFLICT (profile_id) DO UPDATE SET experiment_name = excluded.experiment_name",
    "with": "WITH x AS (UPDATE config_mlflow SET experiment_name = '/x' RETURNING 1) SELECT count(*) FROM x",
    "cursor": "DO $$ DECLARE c CURSOR FOR SELECT FROM config_mlflow FOR UPDATE; BEGIN OPEN c; MOVE c;"
    " UPDATE config_mlflow SET experiment_name = '/x' WHERE CURRENT OF c; END $$",
    "view": "CREATE VIEW his.v AS TABLE config_mlflow; UPDATE his.v SET experiment_name = '/x'",
    "function": "CREATE FUNCTION his.f() RETURNS void SECURITY DEFINER BEGIN ATOMIC"
    " UPDATE config_mlflow SET experiment_name = '/x'; END; SELECT his.f()",
    "prepared": "PREPARE p AS UPDATE config_mlflow SET experiment_name = '/x'; EXECUTE p",
    "explained": "EXPLAIN ANALYZE UPDATE config_mlflow SET experiment_name = '/x'",
    "caught": "DO $$ BEGIN UPDATE config_mlflow SET experiment_name = '/x'; BEGIN PERFORM 1 / 0;"
    " EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
    "immediate": "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; UPDATE config_mlflow SET experiment_name = '/x'; COMMIT",
    "chained": "BEGIN; UPDATE config_mlflow SET experiment_name = '/x'; COMMIT AND CHAIN; ROLLBACK",
    "same again": "BEGIN; UPDATE config_mlflow SET experiment_name = '/y'; SET CONSTRAINTS ALL IMMEDIATE;"
    " SET CONSTRAINTS ALL DEFERRED; UPDATE config_mlflow SET experiment_name = '/x'; COMMIT",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_around_the_history(connect: Connect, eve: psycopg.Connection, way: str) -> None:
    """However a row is changed, it is one version, and its last row in the history has what is published."""
    owner = connect()
    before = version(owner)

    if way == "COPY":
        with eve.cursor().copy(WAYS[way]) as copy:
            copy.write_row(["x"])
    else:
        eve.execute(WAYS[way])

    assert version(owner) == before + 1
    name, snapshot, who = history(owner, "document", "snapshot", "db_user")[-1]
    assert (snapshot, who) == (document(owner, name), eve.info.user)
    assert name == "profile/x" if way == "COPY" else snapshot["mlflow"] == {"experiment_name": "/x"}


CAUGHT = "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; EXCEPTION WHEN check_violation THEN NULL; END $$"
UNDONE = ["SAVEPOINT a", "SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK TO a", "SET CONSTRAINTS ALL DEFERRED"]


@pytest.mark.parametrize("swallow", [[CAUGHT], UNDONE], ids=["caught", "undone"])
def test_a_guard_that_was_silenced_speaks_again(connect: Connect, eve: psycopg.Connection, swallow: list[str]) -> None:
    """An error at SET CONSTRAINTS that is caught does not let the commit through."""
    owner = connect()
    before = standing(owner)
    eve.execute("BEGIN; DELETE FROM config_mlflow")
    heard = 0
    for statement in swallow:
        try:
            eve.execute(statement)
        except CheckViolation:
            heard += 1
    assert heard == (swallow is UNDONE)

    with pytest.raises(CheckViolation, match="would be left without its row in config_mlflow"):
        eve.execute("COMMIT")

    assert standing(owner) == before


NONSENSE = ["x", "[]", "null", '{"active": "x"}', '{"active": 1e99}', '{"active": -1}', '{"nobody": 1}', "[" * 9999]


@pytest.mark.parametrize("expected", NONSENSE, ids=lambda expected: str(expected)[:20])
def test_nonsense_as_the_expected_version(connect: Connect, eve: psycopg.Connection, expected: str) -> None:
    """It refuses her own edits, in this session, and nobody else's."""
    owner, other = connect(), connect(user=eve.info.user)
    eve.execute("SELECT set_config('hotconfig.expect_version', %s, false)", [expected])
    before = standing(owner)

    with pytest.raises(psycopg.Error):
        eve.execute("UPDATE config_mlflow SET experiment_name = '/x'")
    assert standing(owner) == before

    other.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    assert document(owner)["mlflow"] == {"experiment_name": "/y"}


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "array_nulls = off",
        "quote_all_identifiers = on",
        "row_security = off",
        "plpgsql.extra_errors = 'all'",
        "client_encoding = 'LATIN1'",
        "client_encoding = 'SQL_ASCII'",
        "search_path = ''",
        "default_transaction_isolation = 'serializable'",
        "session_replication_role = 'origin'",
        "work_mem = '64kB'",
    ],
)
def test_no_setting_changes_what_is_published(connect: Connect, eve: psycopg.Connection, setting: str) -> None:
    """Whatever a session may set, its edit makes the same version and document as without."""
    owner = connect()
    before = version(owner)
    if "replication" in setting:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            eve.execute(f"SET {setting}")
        return
    eve.execute(f"SET {setting}")

    eve.execute("UPDATE public.config_genie_spaces SET space_name = 'ab''' || chr(252), description = NULL")

    assert version(owner) == before + 1
    assert document(owner)["genie"]["space_name"] == "ab'ü"
    assert document(owner)["genie"]["description"] == ""
    assert history(owner, "action", "domain") == [("update", "genie")]
