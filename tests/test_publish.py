"""Publish at commit: what a transaction changed becomes one version of the documents it belongs to."""

from __future__ import annotations

import pytest
from conftest import Connect, Psql
from sessions import add_profile, document, history, value, version

UPDATE = "UPDATE config_ai_infra SET llm_temperature = 0.2 WHERE profile_id = 1"
EMPTY = "SELECT NOT EXISTS (SELECT FROM config_dirty)"


def test_one_transaction_is_one_version(connect: Connect) -> None:
    """Whatever a transaction touches, its documents carry one new version and one new token."""
    editor = connect()
    before = version(editor)
    with editor.transaction():
        add_profile(editor, "a")
        add_profile(editor, "b")
        editor.execute("UPDATE config_ai_infra SET llm_temperature = 0.2")
        editor.execute("UPDATE config_prompts SET system_prompt = 'x'")

    assert version(editor) == before + 1
    documents = editor.execute("SELECT name, version, token FROM config_documents ORDER BY name").fetchall()
    token = value(editor, "SELECT token FROM config_state")
    names = ["active", "profile/a", "profile/b", "profile/default"]
    assert documents == [(name, before + 1, token) for name in names]
    assert value(editor, "SELECT array_agg(DISTINCT version) FROM config_history WHERE version > %s", before) == [
        before + 1
    ]


def test_versions_follow_the_order_of_commits(connect: Connect) -> None:
    """Who edits first and commits last has the higher version."""
    slow, quick = connect(autocommit=False), connect()
    add_profile(quick, "a")
    before = version(quick)

    slow.execute("UPDATE config_ai_infra SET llm_max_tokens = 5 WHERE profile_id = 1")
    quick.execute("UPDATE config_ai_infra SET llm_max_tokens = 6 WHERE profile_id <> 1")
    slow.commit()

    rows = quick.execute("SELECT version, document FROM config_history WHERE version > %s ORDER BY version", [before])
    assert rows.fetchall() == [(before + 1, "profile/a"), (before + 2, "profile/default")]


def test_a_rolled_back_transaction_leaves_no_gap(connect: Connect) -> None:
    """A version that was taken and rolled back is taken again."""
    editor = connect(autocommit=False)
    before = version(editor)
    editor.execute(UPDATE)
    editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert version(editor) == before + 1
    editor.rollback()

    editor.execute(UPDATE)
    editor.commit()

    assert version(editor) == before + 1


@pytest.mark.parametrize(
    ("statement", "marks"),
    [
        (UPDATE, {"profile 1"}),
        ("UPDATE config_ai_infra SET llm_temperature = llm_temperature, updated_at = updated_at", set()),
        ("UPDATE config_profiles SET is_default = (name = 'default')", set()),
        ("UPDATE config_ai_infra SET llm_temperature = 0.2 WHERE false", set()),
        ("INSERT INTO config_profiles (id, name) VALUES (7, 'x')", {"profile 7"}),
        ("UPDATE config_mlflow SET profile_id = 3 WHERE profile_id = 2", {"profile 2", "profile 3"}),
        ("UPDATE config_profiles SET id = 4 WHERE id = 3", {"profile 3", "profile 4"}),
        ("DELETE FROM config_prompts WHERE profile_id = 2", {"profile 2"}),
        ("DELETE FROM config_profiles WHERE id = 2", {"profile 2"}),
        ("TRUNCATE config_mlflow", {"profiles"}),
    ],
)
def test_a_statement_marks_the_profiles_that_it_changes(connect: Connect, statement: str, marks: set[str]) -> None:
    """Both profiles of a row that moves and both keys of one that changes; none if nothing changes."""
    editor = connect(autocommit=False)
    assert add_profile(editor, "complete") == 2
    editor.execute("INSERT INTO config_profiles (id, name) VALUES (3, 'empty')")
    editor.commit()

    editor.execute(statement)

    assert {source for (source,) in editor.execute("SELECT source FROM config_dirty")} == marks


def test_an_update_of_nothing_stamps_nothing(connect: Connect) -> None:
    """updated_at moves with a change, not with an UPDATE that has the same values."""
    editor = connect()
    stamp = "SELECT updated_at FROM config_ai_infra"
    before = value(editor, stamp)

    editor.execute("UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens")
    assert value(editor, stamp) == before
    editor.execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
    assert value(editor, stamp) > before


def test_a_row_that_moves_changes_both_documents(connect: Connect) -> None:
    """One profile loses the settings that the other one gets, in one version."""
    editor = connect()
    add_profile(editor, "from")
    editor.execute("INSERT INTO config_profiles (name) VALUES ('to')")

    editor.execute("UPDATE config_mlflow SET profile_id = 3 WHERE profile_id = 2")

    assert "mlflow" not in document(editor, "profile/from")
    assert document(editor, "profile/to")["mlflow"] == {"experiment_name": "/x"}
    assert history(editor) == [("profile/from", "mlflow", "delete"), ("profile/to", "mlflow", "create")]


def test_a_profile_that_changes_its_key_keeps_its_name(connect: Connect) -> None:
    """The document under the name is that of the new id, and the history knows two profiles."""
    editor = connect()
    editor.execute("INSERT INTO config_profiles (id, name) VALUES (7, 'x')")

    editor.execute("UPDATE config_profiles SET id = 8 WHERE id = 7")

    assert document(editor, "profile/x")["profile"]["id"] == 8
    assert history(editor, "profile_id", "document", "action") == [
        (7, "profile/x", "delete"),
        (8, "profile/x", "create"),
    ]


def test_a_renamed_profile_leaves_a_tombstone(connect: Connect) -> None:
    """The new name has the document, the old one null, both at the new version."""
    editor = connect()
    add_profile(editor, "old")

    editor.execute("UPDATE config_profiles SET name = 'new' WHERE name = 'old'")

    assert document(editor, "profile/new")["profile"]["name"] == "new"
    rows = editor.execute("SELECT name, version, document IS NULL FROM config_documents WHERE name ~ 'old|new'")
    newest = version(editor)
    assert sorted(rows) == [("profile/new", newest, False), ("profile/old", newest, True)]
    assert history(editor, "document", "domain", "action", "changes") == [
        ("profile/new", "profile", "update", {"name": {"old": "old", "new": "new"}})
    ]


def test_two_names_are_swapped(connect: Connect) -> None:
    """Each name has the other profile's document, without a tombstone; the history has two updates."""
    editor = connect()
    add_profile(editor, "a")
    add_profile(editor, "b")
    with editor.transaction():
        for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
            editor.execute("UPDATE config_profiles SET name = %s WHERE name = %s", [new, old])

    assert document(editor, "profile/a")["profile"]["id"] == 3
    assert document(editor, "profile/b")["profile"]["id"] == 2
    assert not editor.execute("SELECT FROM config_documents WHERE name = 'profile/c'").fetchall()
    assert history(editor, "profile_id", "document", "action") == [
        (3, "profile/a", "update"),
        (2, "profile/b", "update"),
    ]


def test_a_name_is_deleted_and_created_again(connect: Connect) -> None:
    """The name goes to the new profile; the history has the deletion first and the new document last."""
    editor = connect()
    # Many, since the order of a join is only by chance the right one.
    names = [f"p{number:02}" for number in range(20)]
    for name in names:
        add_profile(editor, name)
    with editor.transaction():
        editor.execute("DELETE FROM config_profiles WHERE NOT is_default")
        for name in reversed(names):
            editor.execute("INSERT INTO config_profiles (name) VALUES (%s)", [name])

    for name in names:
        rows = [row for row in history(editor, "document", "action", "snapshot") if row[0] == f"profile/{name}"]
        assert [row[1] for row in rows] == ["delete"] * 5 + ["create"]
        assert rows[-1][2] == document(editor, f"profile/{name}") is not None


def test_a_name_is_taken_over(connect: Connect) -> None:
    """A profile that takes the name of one deleted in the same transaction is an update; its old name is left null."""
    editor = connect()
    add_profile(editor, "a")
    add_profile(editor, "b")
    with editor.transaction():
        editor.execute("DELETE FROM config_profiles WHERE name = 'a'")
        editor.execute("UPDATE config_profiles SET name = 'a' WHERE name = 'b'")

    assert document(editor, "profile/a")["profile"]["id"] == 3
    assert document(editor, "profile/b") is None
    rows = history(editor, "profile_id", "document", "domain", "action")
    assert {row[:2] + row[3:] for row in rows[:-1]} == {(2, "profile/a", "delete")}
    assert rows[-1] == (3, "profile/a", "profile", "update")


def test_a_deleted_profile_that_comes_back_is_created(connect: Connect) -> None:
    """A tombstone is overwritten by the next profile of that name."""
    editor = connect()
    add_profile(editor, "x")
    editor.execute("DELETE FROM config_profiles WHERE name = 'x'")
    assert document(editor, "profile/x") is None

    add_profile(editor, "x")

    assert document(editor, "profile/x")["profile"]["id"] == 3
    assert {row[2] for row in history(editor)} == {"create"}


def test_active_is_the_default_profile(connect: Connect) -> None:
    """`active` repeats the default profile's document, and is null while there is no default."""
    editor = connect()
    add_profile(editor, "x")
    assert document(editor) == document(editor, "profile/default")

    editor.execute("UPDATE config_profiles SET is_default = (name = 'x')")
    assert document(editor) == document(editor, "profile/x")
    assert history(editor) == [("profile/default", "profile", "update"), ("profile/x", "profile", "activate")]

    editor.execute("UPDATE config_profiles SET is_default = false")
    assert document(editor) is None
    assert history(editor) == [("profile/x", "profile", "update")]


def test_active_moves_only_with_the_default_profile(connect: Connect) -> None:
    """An edit of another profile leaves the version of `active` where it was."""
    editor = connect()
    add_profile(editor, "x")
    active = "SELECT version FROM config_documents WHERE name = 'active'"
    before = value(editor, active)

    editor.execute("UPDATE config_mlflow SET experiment_name = '/y' WHERE profile_id = 2")

    assert value(editor, active) == before < version(editor)


def test_an_edit_reads_what_it_changes(connect: Connect) -> None:
    """In a session that began when there was one profile, an edit among 300 reads no table from end to end."""
    editor = connect()
    editor.execute(UPDATE)
    with editor.transaction():
        for number in range(300):
            add_profile(editor, f"p{number}")
    read = "SELECT sum(seq_tup_read)::int FROM pg_stat_xact_user_tables WHERE relname LIKE 'config_%'"
    with editor.transaction():
        editor.execute("SET LOCAL enable_seqscan = off")  # the UPDATE's own plan is not the subject
        editor.execute("UPDATE config_ai_infra SET llm_max_tokens = 7 WHERE profile_id = 1")
        editor.execute("SET LOCAL enable_seqscan = on")
        editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert value(editor, read) < 100


def test_what_was_marked_is_taken(connect: Connect, psql: Psql) -> None:
    """After a commit, a rollback and a refusal no mark is left."""
    editor = connect()
    editor.execute(UPDATE)
    assert value(editor, EMPTY)
    psql("BEGIN; UPDATE config_ai_infra SET llm_max_tokens = 3; ROLLBACK")
    assert value(editor, EMPTY)
    assert "without its row" in psql("DELETE FROM config_mlflow", check=False)
    assert value(editor, EMPTY)
