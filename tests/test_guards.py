"""Guards: the default profile is complete and the only one, whoever writes and however many at once."""

from __future__ import annotations

import pytest
from conftest import Connect
from psycopg.errors import CheckViolation, DivisionByZero, FeatureNotSupported, RestrictViolation, UniqueViolation
from sessions import add_profile, blocked, document, value, version

MAKE_DEFAULT = "UPDATE config_profiles SET is_default = true WHERE name = %s"
TABLES = ["config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET profile_id = (SELECT id FROM config_profiles WHERE name = 'x')"],
)
def test_the_default_profile_keeps_its_settings(connect: Connect, statement: str, table: str) -> None:
    """Whatever takes a row away is refused at commit, naming profile and table."""
    editor = connect()
    editor.execute("INSERT INTO config_profiles (name) VALUES ('x')")
    before = version(editor)
    message = f'the default profile "default" would be left without its row in {table}$'

    with pytest.raises(CheckViolation) as refused:
        editor.execute(statement.format(table))

    assert refused.value.diag.message_primary is not None
    assert refused.match(message.rstrip("$"))
    assert refused.value.diag.message_primary.endswith(table)
    assert version(editor) == before
    assert value(editor, f"SELECT count(*) FROM {table} WHERE profile_id = 1") == 1


def test_all_that_is_missing_is_named(connect: Connect) -> None:
    """A new default profile without settings is told of all four tables."""
    editor = connect(autocommit=False)
    editor.execute("UPDATE config_profiles SET is_default = false")
    editor.execute("INSERT INTO config_profiles (name, is_default) VALUES ('x', true)")
    with pytest.raises(CheckViolation, match=f'"x" would be left without its row in {", ".join(TABLES)}'):
        editor.commit()


def test_what_is_taken_may_be_put_back(connect: Connect) -> None:
    """Only the commit counts."""
    editor = connect()
    with editor.transaction():
        editor.execute("DELETE FROM config_mlflow")
        editor.execute("INSERT INTO config_mlflow (profile_id, experiment_name) VALUES (1, '/y')")

    assert document(editor)["mlflow"] == {"experiment_name": "/y"}


def test_other_profiles_may_be_incomplete(connect: Connect) -> None:
    """Their document lacks the key."""
    editor = connect()
    add_profile(editor, "x")

    editor.execute("DELETE FROM config_mlflow WHERE profile_id = 2")

    assert set(document(editor, "profile/x")) == {"profile", "ai_infra", "genie", "prompts"}


def test_two_defaults_are_refused_by_name(connect: Connect) -> None:
    """In one session at commit."""
    editor = connect()
    add_profile(editor, "x")
    with pytest.raises(UniqueViolation, match='only one profile can be the default one, not "default", "x"'):
        editor.execute(MAKE_DEFAULT, ["x"])
    with pytest.raises(UniqueViolation, match='not "default", "y"'):
        add_profile(editor, "y", is_default=True)


def test_the_default_moves_in_one_statement(connect: Connect) -> None:
    """UPDATE config_profiles SET is_default = (name = 'x') works in whichever order it meets the rows."""
    editor = connect()
    add_profile(editor, "x")
    for name in ("x", "default", "x"):
        editor.execute("UPDATE config_profiles SET is_default = (name = %s)", [name])
        assert document(editor)["profile"]["name"] == name


@pytest.mark.parametrize("first", ["a", "b"])
def test_two_sessions_make_two_defaults(connect: Connect, first: str) -> None:
    """Whoever commits second is refused; neither waits for the other before."""
    one, two = connect(autocommit=False), connect(autocommit=False)
    one.execute("UPDATE config_profiles SET is_default = false")
    add_profile(one, "a")
    add_profile(one, "b")
    one.commit()
    editors = {"a": one, "b": two}
    for name, editor in editors.items():
        editor.execute(MAKE_DEFAULT, [name])

    editors.pop(first).commit()
    (second,) = editors.values()
    with pytest.raises(UniqueViolation, match='not "a", "b"'):
        second.commit()

    assert document(one)["profile"]["name"] == first


def test_two_sessions_make_two_defaults_at_once(connect: Connect) -> None:
    """While one holds the state row the other's commit waits, and is refused when it has been let through."""
    one, two = connect(autocommit=False), connect(autocommit=False)
    one.execute("UPDATE config_profiles SET is_default = false")
    add_profile(one, "a")
    add_profile(one, "b")
    one.commit()
    one.execute(MAKE_DEFAULT, ["a"])
    two.execute(MAKE_DEFAULT, ["b"])
    one.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with blocked(two, two.commit) as done:
        one.commit()
        with pytest.raises(UniqueViolation, match='not "a", "b"'):
            done.result()


@pytest.mark.parametrize("taken_first", [True, False])
def test_a_default_and_the_end_of_its_settings(connect: Connect, *, taken_first: bool) -> None:
    """One session makes a profile the default, the other deletes its settings: the second commit is refused."""
    chooser, remover = connect(autocommit=False), connect(autocommit=False)
    add_profile(chooser, "x")
    chooser.commit()
    chooser.execute("UPDATE config_profiles SET is_default = (name = 'x')")
    remover.execute("DELETE FROM config_mlflow WHERE profile_id = 2")
    first, second = (remover, chooser) if taken_first else (chooser, remover)

    first.commit()
    with pytest.raises(CheckViolation, match='"x" would be left without its row in config_mlflow'):
        second.commit()


def test_the_default_profile_cannot_be_deleted(connect: Connect) -> None:
    """At once and by name; another one can, and its settings go with it."""
    editor = connect()
    add_profile(editor, "x")
    with pytest.raises(RestrictViolation, match='profile "default" is the default one and cannot be deleted'):
        editor.execute("DELETE FROM config_profiles")

    editor.execute("DELETE FROM config_profiles WHERE name = 'x'")

    for table in TABLES:
        assert value(editor, f"SELECT array_agg(profile_id) FROM {table}") == [1]


def test_a_profile_that_becomes_the_default_while_it_is_deleted(connect: Connect) -> None:
    """The DELETE waits for the other session and then sees what it did."""
    chooser, remover = connect(autocommit=False), connect()
    add_profile(chooser, "x")
    chooser.commit()
    chooser.execute("UPDATE config_profiles SET is_default = (name = 'x')")

    def delete() -> None:
        remover.execute("DELETE FROM config_profiles WHERE name = 'x'")

    with blocked(remover, delete) as done:
        chooser.commit()
        with pytest.raises(RestrictViolation, match='"x" is the default one'):
            done.result()


def test_truncate_of_the_profiles(connect: Connect) -> None:
    """Refused while there is a default, with CASCADE too; allowed without, leaving tombstones."""
    editor = connect()
    add_profile(editor, "x")
    with pytest.raises(FeatureNotSupported):  # PostgreSQL's own: tables refer to it
        editor.execute("TRUNCATE config_profiles")
    with pytest.raises(RestrictViolation, match='profile "default" is the default one'):
        editor.execute("TRUNCATE config_profiles CASCADE")
    editor.execute("UPDATE config_profiles SET is_default = false")

    editor.execute("TRUNCATE config_profiles CASCADE")

    assert editor.execute("SELECT name FROM config_documents WHERE document IS NOT NULL").fetchall() == []
    actions = editor.execute("SELECT DISTINCT action FROM config_history WHERE version = %s", [version(editor)])
    assert actions.fetchall() == [("delete",)]


def test_guards_speak_first(connect: Connect) -> None:
    """A document of one's own that cannot be built does not hide what is wrong with the profiles."""
    editor = connect()
    editor.execute("CREATE TABLE t AS SELECT 1 AS one")
    editor.execute("""
        CREATE FUNCTION counted() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ SELECT jsonb_build_object('share', 1 / count(*)) FROM t $$
    """)
    editor.execute("SELECT config_watch('t', 'own', 'counted()')")
    with pytest.raises(DivisionByZero):
        editor.execute("DELETE FROM t")
    editor.execute("BEGIN")
    editor.execute("DELETE FROM t")
    editor.execute("DELETE FROM config_mlflow")
    with pytest.raises(CheckViolation, match="without its row in config_mlflow"):
        editor.execute("COMMIT")
