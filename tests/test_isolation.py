"""Sessions beside each other: isolation levels, settings that differ, and who is told of what."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect
from psycopg import IsolationLevel
from psycopg.errors import SerializationFailure
from servers import Server
from sessions import PATIENCE, add_profile, blocked, document, value, version

LEVELS = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]


@pytest.mark.parametrize("level", LEVELS)
def test_an_editor_with_an_older_snapshot(connect: Connect, level: IsolationLevel) -> None:
    """Who has not seen the newest version gets 40001 at commit; the same edit again goes through, with both."""
    editor, other = connect(autocommit=False), connect()
    editor.isolation_level = level
    edit = "UPDATE config_mlflow SET experiment_name = '/y' WHERE profile_id = 1"

    editor.execute(edit)
    other.execute("UPDATE config_ai_infra SET llm_max_tokens = 5 WHERE profile_id = 1")
    with pytest.raises(SerializationFailure):
        editor.commit()
    editor.execute(edit)
    editor.commit()

    published = document(other)
    assert published["mlflow"] == {"experiment_name": "/y"}
    assert published["ai_infra"]["llm_max_tokens"] == 5


@pytest.mark.parametrize("level", LEVELS)
def test_two_edits_that_change_something_only_together(connect: Connect, level: IsolationLevel) -> None:
    """Each alone leaves the document as it is; the second one gets 40001 all the same, for both together change it."""
    one = connect()
    one.execute("CREATE TABLE flags AS SELECT id, true AS is_on FROM generate_series(1, 2) AS id")
    one.execute("""
        CREATE FUNCTION any_flag() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ SELECT jsonb_build_object('any', bool_or(is_on)) FROM flags $$
    """)
    one.execute("SELECT config_watch('flags', 'own', 'any_flag()')")
    before = version(one)
    editors = [connect(autocommit=False), connect(autocommit=False)]
    for number, editor in enumerate(editors, 1):
        editor.isolation_level = level
        editor.execute("UPDATE flags SET is_on = false WHERE id = %s", [number])

    editors[0].commit()
    assert version(one) == before
    with pytest.raises(SerializationFailure):
        editors[1].commit()
    editors[1].execute("UPDATE flags SET is_on = false WHERE id = 2")
    editors[1].commit()

    assert document(one, "own") == {"any": False}


def test_commits_queue_at_the_state_row(connect: Connect) -> None:
    """In READ COMMITTED the second commit waits for the first, and then publishes what both have done."""
    one, two = connect(autocommit=False), connect(autocommit=False)
    one.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
    two.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    one.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with blocked(two, two.commit) as done:
        one.commit()
        done.result(PATIENCE)

    published = document(one)
    assert published["mlflow"] == {"experiment_name": "/y"}
    assert published["ai_infra"]["llm_max_tokens"] == 5


def test_an_update_of_nothing_waits_for_nobody(connect: Connect) -> None:
    """Without a mark there is no lock: it commits while another session holds the state row."""
    holder, editor = connect(autocommit=False), connect()
    holder.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
    holder.execute("SET CONSTRAINTS ALL IMMEDIATE")
    editor.execute("SET lock_timeout = '1ms'")

    editor.execute("UPDATE config_mlflow SET experiment_name = experiment_name")

    with pytest.raises(psycopg.errors.LockNotAvailable):
        editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")


SETTINGS = [
    {},
    {"TimeZone": "Asia/Kolkata", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard"},
    {"extra_float_digits": "-15", "bytea_output": "escape"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_document_does_not_depend_on_the_session(connect: Connect, settings: dict[str, str]) -> None:
    """Time zone, styles of dates and intervals, digits of floats and the form of bytea are the same for all."""
    editor = connect()
    editor.execute("""
        CREATE TABLE settings AS SELECT 1 AS edited, timestamptz '2024-02-01 12:00+00' AS at, date '2024-02-01' AS day,
            interval '-1 day 2 hours' AS span, 0.1::float8 + 0.2 AS number, '\\x00ff'::bytea AS bytes;
        CREATE FUNCTION settings_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
        SET search_path = public, pg_temp
        AS $$ SELECT to_jsonb(s) || jsonb_build_object('texts', ARRAY[at::text, day::text, number::text])
              FROM settings s $$;
        SELECT config_watch('settings', 'own', 'settings_document()');
    """)
    for name, setting in settings.items():
        editor.execute("SELECT set_config(%s, %s, false)", [name, setting])

    editor.execute("UPDATE settings SET edited = 2")

    assert document(editor, "own") == {
        "edited": 2,
        "at": "2024-02-01T12:00:00+00:00",
        "day": "2024-02-01",
        "span": "-1 days +02:00:00",
        "number": 0.30000000000000004,
        "bytes": "\\x00ff",
        "texts": ["2024-02-01 12:00:00+00", "2024-02-01", "0.30000000000000004"],
    }


def notifications(listener: psycopg.Connection, last: psycopg.Connection) -> list[tuple[str, str]]:
    """What arrived, up to a notification that `last` sends now."""
    last.execute("NOTIFY last")
    told: list[tuple[str, str]] = []
    for notify in listener.notifies(timeout=PATIENCE):
        if notify.channel == "last":
            return told
        told.append((notify.channel, notify.payload))
    raise AssertionError("the last notification did not arrive")


def test_one_notification_for_each_version(connect: Connect) -> None:
    """Its payload is the version; many edits, two publishings and other versions' commits do not change that."""
    editor, listener = connect(), connect()
    listener.execute("LISTEN hotconfig; LISTEN last")
    before = version(editor)

    with editor.transaction():
        add_profile(editor, "x")
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")
        add_profile(editor, "y")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/z'")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/z'")

    assert notifications(listener, editor) == [("hotconfig", str(before + 1)), ("hotconfig", str(before + 2))]


@pytest.mark.parametrize("ending", ["rollback", "nothing changed"])
def test_no_notification_without_a_version(connect: Connect, ending: str) -> None:
    """A transaction that is rolled back, or puts back what it changed, tells nobody."""
    editor, listener = connect(), connect()
    listener.execute("LISTEN hotconfig; LISTEN last")

    with editor.transaction(force_rollback=ending == "rollback"):
        editor.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
        if ending == "nothing changed":
            editor.execute("UPDATE config_ai_infra SET llm_max_tokens = 60000")

    assert notifications(listener, editor) == []


def test_a_prepared_transaction_is_refused(own_server: Server) -> None:
    """PREPARE TRANSACTION fails if configuration changed, and nothing is left of it; else it is hotconfig's no more."""
    own_server.psql("postgres", "ALTER SYSTEM SET max_prepared_transactions = 2")
    own_server.restart()
    with psycopg.connect(own_server.create_database("prepared"), autocommit=True) as editor:
        before = version(editor)
        editor.execute("BEGIN")
        editor.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
            editor.execute("PREPARE TRANSACTION 'x'")
        editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")

        assert version(editor) == before + 1
        assert value(editor, "SELECT count(*) FROM pg_prepared_xacts") == 0
