"""The history: who changed what, when and from where, kept whatever becomes of the profile."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest
from conftest import Connect
from sessions import Row, add_profile, document, history, value, version

DOMAINS = ["ai_infra", "genie", "mlflow", "profile", "prompts"]


def test_a_new_profile_has_a_row_for_each_domain(connect: Connect) -> None:
    """Action create; each row has its fields and the whole document."""
    editor = connect()
    profile = add_profile(editor, "x")

    rows = history(editor, "profile_id", "document", "domain", "action", "snapshot")
    assert rows == [(profile, "profile/x", domain, "create", document(editor, "profile/x")) for domain in DOMAINS]
    (changes,) = (row[1] for row in history(editor, "domain", "changes") if row[0] == "ai_infra")
    assert changes == {
        "llm_endpoint": {"old": None, "new": "endpoint"},
        "llm_temperature": {"old": None, "new": 0.5},
        "llm_max_tokens": {"old": None, "new": 100},
    }


@pytest.mark.parametrize(
    ("statement", "domain", "changes"),
    [
        ("UPDATE config_profiles SET description = 'd'", "profile", {"description": {"old": "", "new": "d"}}),
        (
            "UPDATE config_ai_infra SET llm_max_tokens = 5, llm_temperature = 0.2",
            "ai_infra",
            {"llm_max_tokens": {"old": 60000, "new": 5}, "llm_temperature": {"old": 0.7, "new": 0.2}},
        ),
        (
            "UPDATE config_genie_spaces SET description = NULL",
            "genie",
            {"description": {"old": "Databricks usage data space", "new": ""}},
        ),
        (
            "UPDATE config_prompts SET user_prompt_template = '{question}!'",
            "prompts",
            {"user_prompt_template": {"old": "{question}", "new": "{question}!"}},
        ),
    ],
)
def test_an_update_has_the_fields_that_differ(
    connect: Connect, statement: str, domain: str, changes: dict[str, object]
) -> None:
    """One row for each domain, its old and new values, the document after it."""
    editor = connect()

    editor.execute(statement)

    rows = history(editor, "document", "domain", "action", "changes", "snapshot")
    assert rows == [("profile/default", domain, "update", changes, document(editor))]


def test_settings_that_come_and_go(connect: Connect) -> None:
    """A row that is added to a profile is a create of its domain, one that is taken away a delete."""
    editor = connect()
    add_profile(editor, "x")
    editor.execute("DELETE FROM config_mlflow WHERE profile_id = 2")
    assert history(editor, "domain", "action", "changes") == [
        ("mlflow", "delete", {"experiment_name": {"old": "/x", "new": None}})
    ]
    assert "mlflow" not in history(editor, "snapshot")[0][0]

    editor.execute("INSERT INTO config_mlflow (profile_id, experiment_name) VALUES (2, '/x')")
    assert history(editor) == [("profile/x", "mlflow", "create")]


def test_a_deleted_profile_leaves_its_last_document(connect: Connect) -> None:
    """Action delete in each domain, the snapshot as it was last; older rows stay, with their profile_id."""
    editor = connect()
    profile = add_profile(editor, "x")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/last' WHERE profile_id = %s", [profile])
    last = document(editor, "profile/x")

    editor.execute("DELETE FROM config_profiles WHERE name = 'x'")

    assert history(editor, "domain", "action", "snapshot") == [(domain, "delete", last) for domain in DOMAINS]
    assert value(editor, "SELECT count(*) FROM config_history WHERE profile_id = %s", profile) == 11


def test_active_has_no_rows(connect: Connect) -> None:
    """It only repeats a profile."""
    editor = connect()
    add_profile(editor, "x")
    editor.execute("UPDATE config_profiles SET is_default = (name = 'x')")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")

    assert value(editor, "SELECT array_agg(DISTINCT document ORDER BY document) FROM config_history") == [
        "profile/default",
        "profile/x",
    ]


def test_who_and_why(connect: Connect) -> None:
    """The actor and note of the transaction, the role that logged in, the application's name, and the time."""
    editor = connect(application_name="a test")
    with editor.transaction():
        editor.execute("SET LOCAL hotconfig.actor = 'alice'")
        editor.execute("SET LOCAL hotconfig.note = 'because'")
        editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    columns = ["changed_by", "note", "db_user", "application_name"]
    assert history(editor, *columns) == [("alice", "because", "postgres", "a test")]
    age = value(editor, 'SELECT now() - max("timestamp") FROM config_history')
    assert timedelta(0) <= age < timedelta(minutes=1)

    # After a SET LOCAL the settings read '' and not NULL.
    assert value(editor, "SELECT current_setting('hotconfig.actor')") == ""
    editor.execute("UPDATE config_mlflow SET experiment_name = '/z'")
    assert history(editor, *columns) == [("postgres", None, "postgres", "a test")]


def test_the_role_that_logged_in(connect: Connect, role: str) -> None:
    """It stands there, not the one that SET ROLE has put on."""
    connect().execute(f"GRANT hotconfig_editor TO {role}")
    editor = connect(user=role)
    editor.execute("SET ROLE hotconfig_editor")

    editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")

    assert history(editor, "changed_by", "db_user") == [(role, role)]


def test_a_long_actor(connect: Connect) -> None:
    """It is cut at 255 characters, everywhere it is kept, and aborts nothing."""
    editor = connect()
    editor.execute("SELECT set_config('hotconfig.actor', repeat('ä', 300), false)")

    editor.execute("INSERT INTO config_profiles (name) VALUES ('x')")
    editor.execute("UPDATE config_profiles SET description = 'd' WHERE name = 'x'")

    assert history(editor, "changed_by") == [("ä" * 255,)]
    who = editor.execute("SELECT created_by, updated_by FROM config_profiles WHERE name = 'x'").fetchone()
    assert who == ("ä" * 255, "ä" * 255)


def test_the_profile_keeps_who_and_when(connect: Connect) -> None:
    """created_by and updated_by follow the actor, with plain SQL too; a forged updated_by is overwritten."""
    editor = connect()
    with editor.transaction():
        editor.execute("SET LOCAL hotconfig.actor = 'alice'")
        editor.execute("INSERT INTO config_profiles (name) VALUES ('x')")
    with editor.transaction():
        editor.execute("SET LOCAL hotconfig.actor = 'bob'")
        editor.execute("UPDATE config_profiles SET description = 'd', updated_by = 'mallory' WHERE name = 'x'")

    row = editor.execute("SELECT created_by, updated_by, updated_at > created_at FROM config_profiles WHERE name = 'x'")
    assert row.fetchone() == ("alice", "bob", True)


@pytest.mark.parametrize(
    "statement", ["UPDATE config_history SET note = 'x'", "DELETE FROM config_history", "TRUNCATE config_history"]
)
def test_the_history_is_append_only(connect: Connect, statement: str) -> None:
    """For its owner and for a superuser too."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="config_history is append-only"):
        connect().execute(statement)


INSERT = """
    INSERT INTO config_history (version, document, domain, action, changed_by, db_user, application_name, changes,
                                snapshot, "timestamp")
    VALUES (1, %s, %s, %s, 'x', 'x', 'x', '{}', '{}', now())
"""


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (("profile/x", "profile", "rename"), "config_history_action_known"),
        (("profile/x", "weather", "update"), "config_history_domain_known"),
        (("own", "weather", "update"), None),
        (("profile/x", "genie", "activate"), None),
    ],
)
def test_the_checks(connect: Connect, row: Row, constraint: str | None) -> None:
    """Four actions; five domains for profiles, any for documents of one's own."""
    editor = connect()
    if constraint is None:
        editor.execute(INSERT, row)
    else:
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            editor.execute(INSERT, row)
        assert refused.value.diag.constraint_name == constraint


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        (None, {"a": {"x": 1}, "b": 2}, [("a", "create", {"x": (None, 1)}), ("b", "create", {"": (None, 2)})]),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, [("a", "update", {"y": (2, 3)})]),
        ({"a": {"x": {"deep": 1}}}, {"a": {"x": {"deep": 2}}}, [("a", "update", {"x": ({"deep": 1}, {"deep": 2})})]),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": None}}, [("a", "update", {"y": (None, None)})]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "update", {"": ([1], [1, 2])})]),
        ({"a": {"x": 1}}, {"a": 1}, [("a", "update", {"": ({"x": 1}, 1)})]),
        ({"a": None}, {"a": {"x": 1}}, [("a", "update", {"": (None, {"x": 1})})]),
        ({"a": None}, {"b": 1}, [("a", "delete", {}), ("b", "create", {"": (None, 1)})]),
        ({"a": {}}, {"a": {}, "b": {}}, [("b", "create", {})]),
        ({"a": {"x": 1}, "b": 2}, None, [("a", "delete", {"x": (1, None)}), ("b", "delete", {"": (2, None)})]),
        (None, {}, [("", "create", {"": (None, {})})]),
        ({}, None, [("", "delete", {"": ({}, None)})]),
        ({"a": {}}, {}, [("a", "delete", {})]),
    ],
)
def test_documents_of_ones_own(connect: Connect, old: object, new: object, rows: list[Row]) -> None:
    """The top-level key is the domain; objects are compared field by field, all else is one nameless field."""
    editor = connect()
    publish = "SELECT config_publish('own', %s)"
    for content in (old, new):
        editor.execute(publish, [None if content is None else json.dumps(content)])

    found = history(editor, "document", "profile_id", "domain", "action", "changes", "snapshot")
    assert [row[:2] for row in found] == [("own", None)] * len(rows)
    assert [row[2:5] for row in found] == [
        (domain, action, {field: {"old": o, "new": n} for field, (o, n) in changes.items()})
        for domain, action, changes in rows
    ]
    assert all(row[5] == (old if new is None else new) for row in found)


def test_every_version_has_its_rows(connect: Connect) -> None:
    """Whatever is published under a name is the snapshot of its last row of that version."""
    editor = connect()
    add_profile(editor, "x")
    editor.execute("SELECT config_publish('own', '{\"a\": 1}')")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")
    editor.execute("UPDATE config_profiles SET is_default = (name = 'x')")

    assert value(editor, "SELECT array_agg(DISTINCT version ORDER BY version) FROM config_history") == list(
        range(1, version(editor) + 1)
    )
    differing = editor.execute("""
        SELECT d.name FROM config_documents d WHERE d.name <> 'active' AND d.document IS DISTINCT FROM (
            SELECT h.snapshot FROM config_history h WHERE (h.document, h.version) = (d.name, d.version)
            ORDER BY h.id DESC LIMIT 1)
    """)
    assert differing.fetchall() == []
