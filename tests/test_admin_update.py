"""Admin.update and its dry run: what it writes and refuses. The database decides; psql edits beside it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Connect
from editing import Editor, eventually
from psycopg.sql import SQL, Identifier
from sessions import add_profile

import hotconfig
from hotconfig.admin import Admin
from hotconfig.errors import HotConfigError, InvalidConfig, VersionConflict

TEMPERATURE = "ai_infra.llm_temperature"
WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


def all_rows(editor: Editor) -> list[object]:
    """The profiles, what is published of them, its history, and what waits for a commit."""
    rows = SQL("SELECT array_agg(t::text ORDER BY t::text) FROM {} t")
    tables = ("config_profiles", "config_ai_infra", "config_documents", "config_history", "config_dirty")
    return [editor.ask(rows.format(Identifier(table))) for table in tables]


def test_update_is_one_version_of_all_paths(admin: Admin, database: str) -> None:
    """A running client has exactly the new values, all of one version."""
    with hotconfig.Client(database, heartbeat=1000) as client:
        written = admin.update(None, {TEMPERATURE: 0.2, "genie.space_name": "Sales", "profile.description": "calm"})
        cfg = client.wait_for(written.version)
    assert (cfg.ai_infra.llm_temperature, cfg.genie.space_name, cfg.profile.description) == (0.2, "Sales", "calm")
    assert cfg.version == written.version


def test_written_tells_the_history(admin: Admin) -> None:
    """Who, why, and each field's old and new value, as history() tells it later."""
    written = admin.update("default", {TEMPERATURE: 0.2})
    (edit,) = written.edits
    assert (edit.document, edit.domain, edit.action) == ("profile/default", "ai_infra", "update")
    assert (edit.actor, edit.note, edit.version) == ("alice", "a test", written.version)
    assert edit.changes == {"llm_temperature": (0.7, 0.2)}
    assert edit.at.utcoffset() is not None
    assert admin.history(limit=1) == [edit]


def test_update_that_changes_nothing(admin: Admin, editor: Editor) -> None:
    """It makes no version."""
    before = editor.version()
    written = admin.update(None, {TEMPERATURE: 0.7, "ai_infra.llm_max_tokens": 60_000})
    assert (written.version, written.edits) == (before, ())


def test_update_leaves_other_fields_to_others(database: str, connect: Connect, editor: Editor) -> None:
    """An edit of another field that commits meanwhile is not undone."""
    other = connect(autocommit=False)
    with Admin(database) as admin:
        other.execute("UPDATE config_ai_infra SET llm_max_tokens = 7, llm_endpoint = llm_endpoint")
        with ThreadPoolExecutor(1) as pool:
            update = pool.submit(admin.update, None, {TEMPERATURE: 0.2})
            eventually(lambda: update.done() or editor.ask("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            assert not update.done()
            other.commit()
            update.result()
        cfg = admin.snapshot()
    assert (cfg.ai_infra.llm_temperature, cfg.ai_infra.llm_max_tokens) == (0.2, 7)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({TEMPERATURE: 1.5}, "ai_infra.llm_temperature = 1.5: Input should be less than or equal to 1"),
        ({TEMPERATURE: True}, "valid number"),
        ({TEMPERATURE: float("nan")}, "ai_infra.llm_temperature"),
        ({"ai_infra.llm_max_tokens": "5"}, "valid integer"),
        ({"ai_infra.llm_max_tokens": 2**31}, "less than or equal to 2147483647"),
        ({"ai_infra.llm_endpoint": "\t "}, "must not be blank"),
        ({"prompts.user_prompt_template": "no"}, "must contain {question}"),
        ({"genie.description": "a\0b"}, "NUL"),
        ({"ai_infra": {}}, "ai_infra is no setting"),
        ({"ai_infra.temperature": 1}, "there are profile.description, ai_infra.llm_endpoint"),
        ({"profile.name": "x"}, "rename"),
        ({"profile.is_default": False}, "activate"),
        ({"a..b": 1}, "is no path"),
    ],
)
def test_update_refuses(admin: Admin, editor: Editor, values: dict[str, object], told: str) -> None:
    """What breaks a rule is refused with path and rule, and nothing is saved, not even what is right."""
    before = editor.version()
    with pytest.raises(InvalidConfig) as refused:
        admin.update(None, {"genie.space_name": "Sales", **values})
    assert told in str(refused.value)
    assert editor.version() == before
    assert admin.snapshot().genie.space_name != "Sales"


def test_a_refused_prompt_is_cut(admin: Admin) -> None:
    """An error stays one line, however long the value."""
    with pytest.raises(InvalidConfig) as refused:
        admin.update(None, {"prompts.user_prompt_template": "x" * 100_000})
    assert len(str(refused.value)) < 300


def test_update_completes_an_incomplete_profile(admin: Admin, editor: Editor) -> None:
    """A section that is missing can be set as a whole, and not by half."""
    add_profile(editor.connection, "half")
    editor.run("DELETE FROM config_mlflow USING config_profiles p WHERE profile_id = p.id AND name = 'half'")
    with pytest.raises(InvalidConfig, match="mlflow"):
        admin.update("half", {TEMPERATURE: 0.1})
    admin.update("half", {"mlflow.experiment_name": "/there"})
    assert admin.snapshot("half").mlflow.experiment_name == "/there"


@pytest.mark.parametrize("temperature", [0.2, 0.3])
def test_what_is_not_published(admin: Admin, editor: Editor, temperature: float) -> None:
    """Where triggers are off it is refused rather than called saved, also if the rows have that value already."""
    editor.run("ALTER TABLE config_ai_infra DISABLE TRIGGER USER; UPDATE config_ai_infra SET llm_temperature = 0.2")
    with pytest.raises(HotConfigError, match="nothing was saved: the tables of 'profile/default' are not what is publ"):
        admin.update(None, {TEMPERATURE: temperature})
    assert float(editor.ask("SELECT llm_temperature FROM config_ai_infra")) == 0.2


# ---- expect_version


def test_expected_version(admin: Admin) -> None:
    """The version of the document that was read is the one to expect; of other documents' versions nothing depends."""
    version = admin.snapshot().version
    admin.create_profile("other")
    written = admin.update(None, {TEMPERATURE: 0.2}, expect_version=version)
    admin.update("default", {TEMPERATURE: 0.3}, expect_version=written.version)


@pytest.mark.parametrize("profile", [None, "default"])
@pytest.mark.parametrize("temperature", [0.3, 0.1])
def test_conflict(admin: Admin, editor: Editor, profile: str | None, temperature: float) -> None:
    """Whoever is too late sees who changed what, also when the change happens to be the same; nothing is saved."""
    version = admin.snapshot().version
    editor.run("SELECT set_config('hotconfig.actor', 'bob', false)")
    newest = editor.temperature(0.1)
    with pytest.raises(VersionConflict) as conflict:
        admin.update(profile, {TEMPERATURE: temperature}, expect_version=version)
    assert f"is at version {newest}, not at {version}" in str(conflict.value)
    assert f"Version {newest} by bob: ai_infra.llm_temperature 0.7 -> 0.1." in str(conflict.value)
    assert editor.version() == newest


def test_conflict_with_many(admin: Admin, editor: Editor) -> None:
    """Of many changes the first ones are told, and that there are more."""
    version = admin.snapshot().version
    newest = [editor.temperature(n / 10) for n in range(6)][-1]
    with pytest.raises(VersionConflict) as conflict:
        admin.update(None, {TEMPERATURE: 0.9}, expect_version=version)
    assert str(conflict.value).count(" by ") == 5
    assert str(conflict.value).endswith(f"And there are later ones, until version {newest}.")


def test_conflict_is_checked_under_the_lock(admin: Admin, editor: Editor) -> None:
    """Of many who edit the same version at the same time exactly one succeeds."""
    version = admin.snapshot().version
    start = threading.Barrier(4)

    def edit(tokens: int) -> bool:
        start.wait()
        try:
            admin.update(None, {"ai_infra.llm_max_tokens": tokens}, expect_version=version)
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(edit, range(1, 5))) == 1
    assert editor.version() == version + 1


def test_a_profile_that_goes_meanwhile(admin: Admin, connect: Connect, editor: Editor) -> None:
    """Somebody deletes it while the edit waits for the row: the edit is refused, and says so."""
    admin.create_profile("noon")
    other = connect(autocommit=False)
    other.execute("DELETE FROM config_profiles WHERE name = 'noon'")
    with ThreadPoolExecutor(1) as pool:
        edited = pool.submit(admin.update, "noon", {"ai_infra.llm_max_tokens": 5})
        eventually(lambda: editor.ask(WAITING))
        other.commit()
        with pytest.raises(VersionConflict, match="deleted the profile at the same time"):
            edited.result(20)


# ---- dry run


def test_dry_run(database: str, editor: Editor) -> None:
    """It returns what the write would, and leaves nothing behind."""
    before = editor.version()
    with Admin(database, dry_run=True) as dry, Admin(database) as admin:
        would = dry.update(None, {TEMPERATURE: 0.2})
        assert editor.version() == before
        written = admin.update(None, {TEMPERATURE: 0.2})
    assert would.version == written.version
    assert [edit.changes for edit in would.edits] == [edit.changes for edit in written.edits]


def test_dry_run_notifies_nobody(database: str, connect: Connect, editor: Editor) -> None:
    """Who listens gets what is sent afterwards, and nothing before it."""
    listener = connect()
    listener.execute("LISTEN hotconfig")
    with Admin(database, dry_run=True) as dry:
        assert dry.update(None, {TEMPERATURE: 0.2}).edits
    editor.run("NOTIFY hotconfig, 'afterwards'")
    assert [notify.payload for notify in listener.notifies(timeout=20, stop_after=1)] == ["afterwards"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_deferred_foreign_key(database: str, editor: Editor, dry_run: bool) -> None:
    """A key of a table of one's own that is checked at commit is met by a dry run, too; nothing is left behind."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('b')")
    editor.run("CREATE TABLE teams (profile int REFERENCES config_profiles DEFERRABLE INITIALLY DEFERRED)")
    editor.run("INSERT INTO teams SELECT id FROM config_profiles WHERE name = 'b'")
    before = all_rows(editor)
    with Admin(database, dry_run=dry_run) as admin, pytest.raises(InvalidConfig, match='"teams_profile_fkey"'):
        admin.delete_profile("b")
    assert all_rows(editor) == before


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_deferred_constraint_trigger(database: str, editor: Editor, dry_run: bool) -> None:
    """A rule of one's own that is checked at commit, likewise."""
    editor.run("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too hot'; END $$;
        CREATE CONSTRAINT TRIGGER calm AFTER UPDATE ON config_ai_infra DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.llm_temperature > 0.8) EXECUTE FUNCTION refuse();
    """)
    before = all_rows(editor)
    with Admin(database, dry_run=dry_run) as admin:
        with pytest.raises(InvalidConfig, match="nothing was saved: the database refuses it: too hot"):
            admin.update(None, {TEMPERATURE: 0.9})
        assert all_rows(editor) == before
        assert admin.update(None, {TEMPERATURE: 0.8}).edits


def test_dry_run_meets_the_guard_of_the_settings(database: str, editor: Editor) -> None:
    """A profile without all settings cannot become the default one, which the server says at commit."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('half')")
    before = all_rows(editor)
    told = 'the database refuses it: the default profile "half" would be left without its row in config_ai_infra'
    with Admin(database, dry_run=True) as dry, pytest.raises(InvalidConfig, match=told):
        dry.activate("half")
    assert all_rows(editor) == before


def test_dry_run_meets_the_guard_of_the_default_profile(database: str, connect: Connect, editor: Editor) -> None:
    """It becomes the default one while the deletion waits for its row: the server refuses that, and it stays."""
    add_profile(editor.connection, "b")
    other = connect(autocommit=False)
    other.execute("UPDATE config_profiles SET is_default = (name = 'b')")
    with Admin(database, dry_run=True) as dry, ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(dry.delete_profile, "b")
        eventually(lambda: deleted.done() or editor.ask(WAITING))
        other.commit()
        before = all_rows(editor)
        with pytest.raises(InvalidConfig, match='the database refuses it: profile "b" is the default one'):
            deleted.result(20)
    assert all_rows(editor) == before
