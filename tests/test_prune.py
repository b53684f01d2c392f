"""config_history_prune: what is old goes, and what was since then can still be told."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from conftest import Connect
from editing import Editor
from sessions import value

from hotconfig.admin import Admin
from hotconfig.errors import HotConfigError

TEMPERATURE = "ai_infra.llm_temperature"


def left(editor: Editor) -> list[Any]:
    """The documents and versions that the history still has."""
    return editor.connection.execute("SELECT DISTINCT document, version FROM config_history ORDER BY 1, 2").fetchall()


def now(editor: Editor) -> Any:
    return editor.ask("SELECT clock_timestamp()")


def prune(editor: Editor, before: object) -> int:
    return int(editor.ask("SELECT config_history_prune(%s)", [before]))


def test_it_keeps_the_last_version_of_each_document(admin: Admin, editor: Editor) -> None:
    """Whole, and that of a deleted profile too; the rest goes, and its number is returned."""
    first = admin.snapshot().version
    editor.publish("own", '{"a": 1, "b": 1}')
    own = editor.publish("own", '{"a": 2, "b": 2}')
    admin.create_profile("gone")
    gone = admin.delete_profile("gone").version
    last = admin.update(None, {TEMPERATURE: 0.2, "genie.space_name": "Sales"}).version
    rows = editor.ask("SELECT count(*) FROM config_history")
    assert prune(editor, now(editor)) == 5 + 2 + 5
    assert first < own
    assert left(editor) == [("own", own), ("profile/default", last), ("profile/gone", gone)]
    assert editor.ask("SELECT count(*) FROM config_history") == rows - 12
    assert prune(editor, now(editor)) == 0


def test_what_was_since_then_can_be_told(admin: Admin, editor: Editor) -> None:
    """At that time too, which the last version before it tells."""
    admin.update(None, {TEMPERATURE: 0.1})
    then = admin.update(None, {TEMPERATURE: 0.2}).version
    at = now(editor)
    later = admin.update(None, {TEMPERATURE: 0.3}).version
    prune(editor, at)
    assert left(editor) == [("profile/default", then), ("profile/default", later)]
    assert admin.snapshot(at=at).ai_infra.llm_temperature == 0.2
    admin.rollback(None)
    assert admin.snapshot().ai_infra.llm_temperature == 0.2


def test_what_was_before_cannot_be_told(admin: Admin, editor: Editor) -> None:
    """It is refused as pruned, and not told to be something else, or never to have been."""
    first = admin.snapshot().version
    admin.rename_profile("default", "later")
    renamed = admin.update("later", {TEMPERATURE: 0.2}).version
    own = editor.publish("own", '{"a": 1}')
    editor.publish("own", '{"a": 2}')
    emptied = editor.publish("emptied", '{"a": 1}')
    editor.publish("emptied", "{}")
    at = now(editor)
    prune(editor, at)
    pruned = rf"history of profile/later begins with version {renamed}: what came before was pruned"
    for version in (first, renamed - 1):
        with pytest.raises(HotConfigError, match=pruned):
            admin.snapshot(version=version)
        with pytest.raises(HotConfigError, match=pruned):
            admin.rollback(None, to=version)
    with pytest.raises(HotConfigError, match=pruned):
        admin.rollback(None)
    for document, version in (("own", own), ("emptied", emptied)):
        with pytest.raises(HotConfigError, match=f"history of {document} begins"):
            admin.document(document, version=version)
    assert admin.snapshot(version=renamed).profile.name == "later"


def test_a_deletion_can_be_taken_back(admin: Admin, editor: Editor) -> None:
    """Also when nothing but it is left: it tells what went."""
    admin.create_profile("b", description="text")
    admin.delete_profile("b")
    prune(editor, now(editor))
    admin.rollback("b")
    assert admin.snapshot("b").profile.description == "text"


def test_what_was_not_there_is_not_called_pruned(admin: Admin, editor: Editor) -> None:
    """A history that begins with the creation is whole; a deletion is one, whatever came before it."""
    before = admin.snapshot().version
    admin.create_profile("b")
    deleted = admin.delete_profile("b").version
    admin.create_profile("c")
    prune(editor, now(editor))
    with pytest.raises(HotConfigError, match="profile/c was not there at version"):
        admin.snapshot("c", version=before)
    with pytest.raises(HotConfigError, match="profile/b was not there at version"):
        admin.snapshot("b", version=deleted)


def test_it_is_undone_with_its_transaction(editor: Editor) -> None:
    """And the history is append-only again behind it, in the same transaction too."""
    editor.temperature(0.1)
    before = left(editor)
    editor.run("BEGIN")
    assert prune(editor, now(editor)) == 5
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        editor.run("DELETE FROM config_history")
    editor.run("ROLLBACK")
    assert left(editor) == before


def test_no_time(editor: Editor) -> None:
    """NULL is a mistake, and not "nothing"."""
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        prune(editor, None)


def test_who_may(connect: Connect, editor: Editor, role: str) -> None:
    """Neither an editor nor a reader; an owner, and whoever was granted the function alone."""
    editor.temperature(0.1)
    for granted in ("hotconfig_reader", "hotconfig_editor"):
        editor.connection.execute(f"GRANT {granted} TO {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="function config_history_prune"):
            value(connect(user=role), "SELECT config_history_prune(now())")
        editor.connection.execute(f"REVOKE {granted} FROM {role}")
    editor.connection.execute(f"GRANT hotconfig_owner TO {role}")
    assert value(connect(user=role), "SELECT config_history_prune(clock_timestamp())") == 5
    editor.connection.execute(f"REVOKE hotconfig_owner FROM {role}")
    editor.connection.execute(f"GRANT EXECUTE ON FUNCTION config_history_prune TO {role}")
    editor.connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    assert value(connect(user=role), "SELECT config_history_prune(clock_timestamp())") == 0
