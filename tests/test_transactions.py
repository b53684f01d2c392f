"""What a transaction may do before it commits: savepoints, second thoughts, constraints fired in the middle."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect
from sessions import add_profile, document, history, value, version

UPDATE = "UPDATE config_ai_infra SET llm_temperature = 0.2 WHERE profile_id = 1"
AGAIN = "UPDATE config_ai_infra SET llm_temperature = 0.3 WHERE profile_id = 1"
TEMPERATURE = "SELECT (document #>> '{ai_infra,llm_temperature}')::float FROM config_documents WHERE name = 'active'"
EMPTY = "SELECT NOT EXISTS (SELECT FROM config_dirty)"


def test_a_document_that_is_put_back_makes_no_version(connect: Connect) -> None:
    """What counts is the difference between before and after, not what happened on the way."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        editor.execute("UPDATE config_ai_infra SET llm_temperature = 0.7")
        editor.execute("INSERT INTO config_profiles (name) VALUES ('x')")
        editor.execute("DELETE FROM config_profiles WHERE name = 'x'")

    assert version(editor) == before
    assert not editor.execute("SELECT FROM config_documents WHERE name = 'profile/x'").fetchall()


def test_a_savepoint_takes_its_edits_with_it(connect: Connect) -> None:
    """What is rolled back to a savepoint is not published; what is released is."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        with editor.transaction():
            editor.execute("UPDATE config_mlflow SET experiment_name = '/kept'")
        with editor.transaction(force_rollback=True):
            editor.execute(UPDATE)

    assert version(editor) == before + 1
    assert history(editor, "domain") == [("mlflow",)]
    assert value(editor, TEMPERATURE) == 0.7


def test_publishing_in_a_savepoint_is_undone_with_it(connect: Connect) -> None:
    """A rollback behind SET CONSTRAINTS brings the marks back; the edit is published at commit."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        with editor.transaction(force_rollback=True):
            editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            assert version(editor) == before + 1
        assert version(editor) == before

    assert version(editor) == before + 1
    assert value(editor, TEMPERATURE) == 0.2
    assert value(editor, EMPTY)


def test_constraints_fired_in_the_middle(connect: Connect) -> None:
    """Edits before and after it are one version; the last value is published, and no mark is left."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute(AGAIN)
        editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")

    assert version(editor) == before + 1
    assert value(editor, TEMPERATURE) == 0.3
    assert value(editor, EMPTY)
    rows = history(editor, "domain", "snapshot", "version")
    assert [row[0] for row in rows] == ["ai_infra", "ai_infra", "mlflow"]
    assert rows[-1][1] == document(editor)


def test_constraints_deferred_again(connect: Connect) -> None:
    """An edit after SET CONSTRAINTS ALL IMMEDIATE and DEFERRED is published at commit."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute("SET CONSTRAINTS ALL DEFERRED")
        editor.execute(AGAIN)
        assert value(editor, TEMPERATURE) == 0.2

    assert version(editor) == before + 1
    assert value(editor, TEMPERATURE) == 0.3


def test_an_edit_undone_behind_the_middle(connect: Connect) -> None:
    """The version that was taken stays; its last history row has the document as it was before."""
    editor = connect()
    unedited = document(editor)
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute("UPDATE config_ai_infra SET llm_temperature = 0.7")

    assert version(editor) == before + 1
    assert history(editor, "snapshot")[-1] == (unedited,)
    assert document(editor) == unedited


def test_a_writer_learns_its_version(connect: Connect) -> None:
    """After SET CONSTRAINTS config_at_commit IMMEDIATE config_state has it, inside the transaction."""
    editor, other = connect(), connect()
    before = version(editor)
    with editor.transaction():
        editor.execute(UPDATE)
        assert version(editor) == before
        editor.execute("SET CONSTRAINTS config_at_commit IMMEDIATE")
        assert version(editor) == before + 1
        assert version(other) == before
    assert version(other) == before + 1


def test_every_row_of_a_statement_counts_when_constraints_are_immediate(connect: Connect) -> None:
    """One UPDATE that moves the default publishes it whole, not row by row."""
    editor = connect()
    add_profile(editor, "x")
    with editor.transaction():
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute("UPDATE config_profiles SET is_default = (name = 'x')")

    assert document(editor)["profile"] == {"id": 2, "name": "x", "description": "", "is_default": True}
    assert not document(editor, "profile/default")["profile"]["is_default"]


def test_an_edit_and_an_alter_table(connect: Connect) -> None:
    """A migration may UPDATE and ALTER the same table in one transaction."""
    editor = connect()
    with editor.transaction():
        editor.execute(UPDATE)
        editor.execute("ALTER TABLE config_ai_infra ADD COLUMN extra text")

    assert value(editor, TEMPERATURE) == 0.2


def test_a_prompt_of_a_megabyte(connect: Connect) -> None:
    """It commits: the notification carries the version, not the document."""
    editor = connect()
    prompt = "päß €" * 200_000

    editor.execute("UPDATE config_prompts SET system_prompt = %s", [prompt])

    assert document(editor)["prompts"]["system_prompt"] == prompt


def test_bypassed_triggers(connect: Connect) -> None:
    """config_touch() publishes what DISABLE TRIGGER and session_replication_role hid; then it finds nothing."""
    editor = connect()
    add_profile(editor, "gone")
    add_profile(editor, "old")
    before = version(editor)
    editor.execute("ALTER TABLE config_mlflow DISABLE TRIGGER USER")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/y' WHERE profile_id = 1")
    editor.execute("ALTER TABLE config_mlflow ENABLE TRIGGER USER")
    editor.execute("SET session_replication_role = replica")
    editor.execute("DELETE FROM config_profiles WHERE name = 'gone'")
    editor.execute("UPDATE config_profiles SET name = 'new' WHERE name = 'old'")
    editor.execute("RESET session_replication_role")
    assert version(editor) == before

    for _ in range(2):
        editor.execute("SELECT config_touch()")
        assert version(editor) == before + 1

    assert document(editor)["mlflow"]["experiment_name"] == "/y"
    assert document(editor, "profile/gone") is document(editor, "profile/old") is None
    assert document(editor, "profile/new")["profile"]["name"] == "new"


def test_touch_without_profiles(connect: Connect) -> None:
    """In a database that has never had a profile it makes no version."""
    editor = connect()
    editor.execute("UPDATE config_profiles SET is_default = false")
    editor.execute("DELETE FROM config_profiles")
    editor.execute("DELETE FROM config_documents")
    before = version(editor)

    editor.execute("SELECT config_touch()")

    assert version(editor) == before


def test_a_txid_that_comes_again(connect: Connect) -> None:
    """After a restore into another cluster the number of a transaction may be that of the last version's."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        # A superuser plays the restore.
        editor.execute("UPDATE config_state SET txid = pg_current_xact_id(), began = now() - interval '1 day'")
        editor.execute(UPDATE)

    assert version(editor) == before + 1


def expect(editor: psycopg.Connection, name: str, expected: int) -> None:
    wanted = "jsonb_build_object(%s::text, %s::bigint)::text"
    editor.execute(f"SELECT set_config('hotconfig.expect_version', {wanted}, true)", [name, expected])


def test_the_expected_version(connect: Connect) -> None:
    """The edit goes through, also when it is published in two steps."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        expect(editor, "profile/default", before)
        editor.execute(UPDATE)
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        editor.execute(AGAIN)

    assert version(editor) == before + 1


def test_another_version_than_expected(connect: Connect) -> None:
    """Somebody was faster: HC001 names the document and both versions, and nothing is written."""
    editor, other = connect(autocommit=False), connect()
    before = version(other)
    expect(editor, "profile/default", before)
    editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    other.execute(UPDATE)  # after the edit, before its commit

    message = f'document "profile/default" is at version {before + 1}, not at {before}'
    with pytest.raises(psycopg.DatabaseError, match=message) as refused:
        editor.commit()

    assert refused.value.sqlstate == "HC001"
    assert version(other) == before + 1


def test_an_expected_document_that_is_not_there(connect: Connect) -> None:
    """A document that does not exist has no version."""
    editor = connect(autocommit=False)
    expect(editor, "profile/x", 1)
    editor.execute(UPDATE)
    with pytest.raises(psycopg.DatabaseError, match='"profile/x" is at version none, not at 1'):
        editor.commit()


def test_what_was_expected_ends_with_the_transaction(connect: Connect) -> None:
    """The setting reads '' afterwards, which expects nothing."""
    editor = connect()
    with editor.transaction():
        expect(editor, "profile/default", version(editor))
    assert value(editor, "SELECT current_setting('hotconfig.expect_version')") == ""

    editor.execute(UPDATE)

    assert value(editor, TEMPERATURE) == 0.2
