"""Admin: what it writes, refuses and remembers. The database decides; psql edits beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from conftest import Connect, Psql
from editing import Editor, eventually
from servers import PASSWORD, Server
from sessions import add_profile

import hotconfig
from hotconfig import migrations
from hotconfig.admin import Admin
from hotconfig.errors import (
    HotConfigError,
    InvalidConfig,
    NoDefaultProfile,
    NoSuchDocument,
    NoSuchProfile,
    NotMigrated,
    Unavailable,
    VersionConflict,
)
from hotconfig.profile import default_profile

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture
def admin(database: str) -> Iterator[Admin]:
    with Admin(database, actor="alice", note="a test") as admin:
        yield admin


# ---- update


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


def test_dry_run_meets_the_guards(database: str) -> None:
    """What a commit would refuse is refused."""
    with Admin(database, dry_run=True) as dry, pytest.raises(InvalidConfig, match="is the default one"):
        dry.delete_profile("default")


# ---- profiles


def test_create_profile(admin: Admin) -> None:
    """With the defaults, or as a copy; never the default one."""
    admin.update(None, {TEMPERATURE: 0.2})
    admin.create_profile("fresh", description="new")
    admin.create_profile("copy", copy_from="default")
    assert [(each.name, each.is_default) for each in admin.profiles()] == [
        ("copy", False),
        ("default", True),
        ("fresh", False),
    ]
    assert admin.snapshot("fresh").ai_infra == default_profile().ai_infra
    assert admin.snapshot("fresh").profile.description == "new"
    assert admin.snapshot("copy").ai_infra.llm_temperature == 0.2


@pytest.mark.parametrize("name", ["", " \t", "x" * 101, "a\0b"])
def test_names_that_cannot_be(admin: Admin, name: str) -> None:
    """They are refused, new or given later."""
    with pytest.raises(InvalidConfig):
        admin.create_profile(name)
    with pytest.raises(InvalidConfig):
        admin.rename_profile("default", name)


def test_a_name_is_there_once(admin: Admin) -> None:
    """Creating or renaming to a name that is taken says so."""
    admin.create_profile("other")
    with pytest.raises(InvalidConfig, match="already a profile of this name"):
        admin.create_profile("default")
    with pytest.raises(InvalidConfig, match="already a profile of this name"):
        admin.rename_profile("other", "default")


def test_rename_describe_activate_delete(admin: Admin) -> None:
    """Each is one version, and the history says which it was."""
    admin.create_profile("b")
    actions = [
        admin.rename_profile("b", "c"),
        admin.describe_profile("c", "text"),
        admin.activate("c"),
        admin.delete_profile("default"),
    ]
    assert [{(edit.domain, edit.action) for edit in written.edits} for written in actions] == [
        {("profile", "update")},
        {("profile", "update")},
        {("profile", "activate"), ("profile", "update")},
        {(domain, "delete") for domain in ("profile", "ai_infra", "genie", "mlflow", "prompts")},
    ]
    assert [profile.name for profile in admin.profiles()] == ["c"]
    assert admin.snapshot().profile.name == "c"


def test_activate_at_the_same_time(admin: Admin) -> None:
    """Whoever comes last wins, and nobody is refused."""
    names = ["a", "b", "c"]
    for name in names:
        admin.create_profile(name)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(admin.activate, names * 3))
    assert admin.snapshot().profile.name in names


@pytest.mark.parametrize(
    "call",
    [
        lambda admin: admin.update("nobody", {TEMPERATURE: 0.1}),
        lambda admin: admin.rename_profile("nobody", "x"),
        lambda admin: admin.describe_profile("nobody", "x"),
        lambda admin: admin.delete_profile("nobody"),
        lambda admin: admin.activate("nobody"),
        lambda admin: admin.create_profile("x", copy_from="nobody"),
        lambda admin: admin.rollback("nobody"),
        lambda admin: admin.snapshot("nobody"),
        lambda admin: admin.snapshot("nobody", version=1),
    ],
)
def test_no_such_profile(admin: Admin, call: Callable[[Admin], object]) -> None:
    """Every method says so."""
    with pytest.raises(NoSuchProfile, match="nobody"):
        call(admin)


def test_no_default_profile(admin: Admin, editor: Editor) -> None:
    """What is asked of the default profile says that there is none."""
    editor.run("UPDATE config_profiles SET is_default = false")
    calls: list[Callable[[], object]] = [
        lambda: admin.update(None, {TEMPERATURE: 0.1}),
        lambda: admin.rollback(None),
        admin.snapshot,
        lambda: admin.snapshot(version=1),
    ]
    for call in calls:
        with pytest.raises(NoDefaultProfile):
            call()


# ---- init


def test_init_of_an_empty_installation(admin: Admin, editor: Editor) -> None:
    """It makes the default profile, by system, once."""
    editor.run("UPDATE config_profiles SET is_default = false")
    editor.run("DELETE FROM config_profiles")
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: admin.init(), range(3)))
    assert sorted(len(written.edits) for written in made) == [0, 0, 5]
    assert admin.snapshot().ai_infra == default_profile().ai_infra
    assert editor.ask("SELECT created_by FROM config_profiles") == "system"
    assert admin.init().version == editor.version()


def test_init_keeps_what_there_is(admin: Admin, editor: Editor) -> None:
    """A profile "default" that lacks settings is completed, and made the default one."""
    editor.temperature(0.1)
    editor.run("UPDATE config_profiles SET is_default = false")
    editor.run("DELETE FROM config_mlflow")
    admin.init()
    cfg = admin.snapshot()
    assert cfg.profile.is_default
    assert cfg.ai_infra.llm_temperature == 0.1
    assert cfg.mlflow == default_profile().mlflow


# ---- rollback


def test_rollback_to_a_version(admin: Admin) -> None:
    """Everything is as it was then, in a new version."""
    before = admin.snapshot()
    admin.update(None, {TEMPERATURE: 0.2, "profile.description": "text"})
    admin.update(None, {"genie.space_name": "Sales"})
    written = admin.rollback(None, to=before.version)
    after = admin.snapshot()
    assert after.version == written.version > before.version
    assert after.model_dump(exclude={"version"}) == before.model_dump(exclude={"version"})


def test_rollback_of_the_newest_change(admin: Admin) -> None:
    """Without a version it is the profile's newest change that goes, whatever else was changed since."""
    admin.update(None, {TEMPERATURE: 0.2})
    admin.update(None, {TEMPERATURE: 0.3})
    admin.create_profile("other")
    admin.rollback(None)
    assert admin.snapshot().ai_infra.llm_temperature == 0.2


def test_rollback_of_a_deletion(admin: Admin) -> None:
    """A deleted profile comes back with its settings and another id."""
    admin.create_profile("b")
    admin.update("b", {TEMPERATURE: 0.2, "profile.description": "text"})
    was = admin.snapshot("b")
    admin.delete_profile("b")
    admin.rollback("b")
    now = admin.snapshot("b")
    assert (now.ai_infra, now.profile.description) == (was.ai_infra, "text")
    assert now.profile.id != was.profile.id


def test_rollback_of_a_name_that_was_taken_over(admin: Admin) -> None:
    """To a version before the living profile was made it gets the settings of its predecessor."""
    admin.create_profile("b")
    then = admin.update("b", {TEMPERATURE: 0.2}).version
    admin.delete_profile("b")
    admin.create_profile("b")
    admin.rollback("b", to=then)
    assert admin.snapshot("b").ai_infra.llm_temperature == 0.2


def test_rollback_of_a_rename(admin: Admin) -> None:
    """The name comes back, under the new name and the old."""
    for name in ("old", "new"):
        if name == "old":
            admin.create_profile("old")
        admin.rename_profile("old", "new")
        admin.rollback(name)
        assert [profile.name for profile in admin.profiles()] == ["default", "old"]


def test_rollback_to_where_it_was_not(admin: Admin) -> None:
    """Before its beginning, after its end, in the future: refused."""
    before = admin.snapshot().version
    admin.create_profile("b")
    deleted = admin.delete_profile("b").version
    for name, to in (("b", before), ("b", deleted), ("default", 0), ("default", -1)):
        with pytest.raises(HotConfigError, match="was not there at version"):
            admin.rollback(name, to=to)
    with pytest.raises(HotConfigError, match="was not there before its newest change"):
        admin.rollback("default")
    with pytest.raises(HotConfigError, match=f"no version {deleted + 1} yet: the newest one is {deleted}"):
        admin.rollback("default", to=deleted + 1)


def test_rollback_conflict(admin: Admin) -> None:
    """It takes expect_version too."""
    version = admin.snapshot().version
    admin.update(None, {TEMPERATURE: 0.2})
    with pytest.raises(VersionConflict):
        admin.rollback(None, expect_version=version)


# ---- reading


def test_snapshot_of_the_past(admin: Admin, editor: Editor) -> None:
    """At a version or at a time, whatever the profile was called."""
    first = admin.snapshot()
    second = admin.update(None, {TEMPERATURE: 0.2}).version
    between = editor.ask("SELECT clock_timestamp()")
    admin.rename_profile("default", "later")
    admin.update("later", {TEMPERATURE: 0.3})
    assert admin.snapshot(version=first.version) == first
    assert admin.snapshot("later", version=second).ai_infra.llm_temperature == 0.2
    assert admin.snapshot("default", version=second).version == second
    assert admin.snapshot(at=between).version == second
    assert admin.snapshot(at=datetime.now(UTC)) == admin.snapshot()
    with pytest.raises(NoSuchProfile, match="was not there at 2000"):
        admin.snapshot(at=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="no time zone"):
        admin.snapshot(at=datetime(2000, 1, 1))  # noqa: DTZ001
    with pytest.raises(TypeError, match="not both"):
        admin.snapshot(version=1, at=between)
    with pytest.raises(HotConfigError, match="no version 1000 yet"):
        admin.snapshot(version=1000)


def test_a_document_of_your_own(admin: Admin, editor: Editor) -> None:
    """Now, at a version, and gone."""
    first = editor.publish("own", '{"a": {"x": 1, "y": 2}, "b": [1]}')
    second = editor.publish("own", '{"a": {"x": 3}}')
    editor.publish("own", None)
    assert admin.document("own", version=first) == {"a": {"x": 1, "y": 2}, "b": [1], "version": first}
    assert admin.document("own", version=second) == {"a": {"x": 3}, "version": second}
    for version in (None, second + 1):
        with pytest.raises(NoSuchDocument, match="own"):
            admin.document("own", version=version)


def test_an_incomplete_profile_is_shown_as_document_only(admin: Admin, editor: Editor) -> None:
    """A snapshot of it is refused with what is missing."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('half')")
    assert set(admin.document("profile/half")) == {"profile", "version"}
    with pytest.raises(InvalidConfig, match="prompts: Field required"):
        admin.snapshot("half")
    assert [profile.name for profile in admin.profiles()] == ["default", "half"]


def test_diff(admin: Admin) -> None:
    """Between two versions, or from one until now."""
    first = admin.snapshot().version
    second = admin.update(None, {TEMPERATURE: 0.2}).version
    admin.update(None, {"genie.space_name": "Sales"})
    assert admin.diff(None, first, second).paths == (TEMPERATURE,)
    assert admin.diff(None, first).paths == (TEMPERATURE, "genie.space_name")


def test_history_filters(admin: Admin, editor: Editor) -> None:
    """By document, domain, actor, path and time; newest first, in pages."""
    first = admin.update(None, {TEMPERATURE: 0.2, "genie.space_name": "Sales"})
    editor.temperature(0.3)
    admin.create_profile("b")
    own = editor.publish("own", '{"a": {"x.y": {"z": 1, "w": 1}}}')
    editor.publish("own", '{"a": {"x.y": {"z": 2, "w": 1}}}')

    def versions(**given: object) -> list[int]:
        return [edit.version for edit in admin.history(**given)]  # type: ignore[arg-type]

    assert versions(document="profile/default", domain="ai_infra")[:2] == [first.version + 1, first.version]
    assert versions(actor="alice", document="profile/default") == [first.version, first.version]
    assert versions(path=TEMPERATURE, document="profile/default")[:2] == [first.version + 1, first.version]
    assert versions(path="genie.space_name", actor="alice", document="profile/default") == [first.version]
    assert versions(path='a."x.y".z') == [own + 1, own]
    assert versions(path='a."x.y".w') == [own]
    assert versions(path="a") == [own + 1, own]
    assert versions(path="nothing") == []
    at = first.edits[0].at
    assert versions(since=at, until=at, document="profile/default") in ([first.version] * 2, [first.version])
    everything = admin.history()
    pages: list[int] = []
    while page := admin.history(before=pages[-1] if pages else None, limit=3):
        pages += [edit.id for edit in page]
    assert pages == [edit.id for edit in everything]
    assert pages == sorted(pages, reverse=True)


# ---- where, and as whom


@pytest.mark.parametrize("schema", ["elsewhere", 'My "odd" schema'])
def test_another_schema(database: str, psql: Psql, schema: str) -> None:
    """Two installations in one database know nothing of each other."""
    migrations.upgrade(database, schema=schema)
    with Admin(database, schema=schema) as there, Admin(database) as here:
        there.init()
        there.update(None, {TEMPERATURE: 0.2})
        there.rollback(None)
        there.update(None, {TEMPERATURE: 0.4}, expect_version=there.snapshot().version)
        assert there.snapshot().ai_infra.llm_temperature == 0.4
        assert here.snapshot().ai_infra.llm_temperature == 0.7
        assert len(there.history()) == 8


def test_a_reader_may_read(database: str, role: str, psql: Psql) -> None:
    """A member of hotconfig_reader reads everything; writing names the role that it lacks."""
    psql(f"GRANT hotconfig_reader TO {role}")
    with Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin:
        assert admin.profiles()[0].name == "default"
        assert admin.snapshot(version=admin.snapshot().version) == admin.snapshot()
        assert admin.history()
        with pytest.raises(Unavailable, match="GRANT hotconfig_editor TO"):
            admin.update(None, {TEMPERATURE: 0.2})


def test_an_editor_may_write(database: str, role: str, psql: Psql) -> None:
    """A member of hotconfig_editor does all that Admin does."""
    psql(f"GRANT hotconfig_editor TO {role}")
    with Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin:
        admin.init()
        admin.create_profile("b", copy_from="default")
        admin.update("b", {TEMPERATURE: 0.2}, expect_version=admin.snapshot("b").version)
        admin.activate("b")
        admin.delete_profile("default")
        admin.rollback("default")
        assert admin.history(limit=1)[0].actor == role


def test_nobody_may_nothing(database: str, role: str) -> None:
    """A role without privileges is told which one it needs."""
    with (
        Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin,
        pytest.raises(Unavailable, match="GRANT hotconfig_reader TO"),
    ):
        admin.snapshot()


def test_not_migrated(server: Server) -> None:
    """Reading and writing say what to run."""
    with Admin(server.url("postgres")) as admin:
        for call in (admin.snapshot, admin.history, admin.init, lambda: admin.delete_profile("x")):
            with pytest.raises(NotMigrated, match="hotconfig migrate"):
                call()


def test_unreachable() -> None:
    """The constructor does nothing; the first use says what is wrong, without the password."""
    with Admin("postgresql://u:secret@127.0.0.1:1/x") as admin, pytest.raises(Unavailable) as refused:
        admin.snapshot()
    assert "secret" not in str(refused.value)
    assert "check that the server runs" in str(refused.value)


def test_a_lost_connection_is_replaced(admin: Admin, editor: Editor) -> None:
    """What stood in the pool when the server ended it is not used again."""
    admin.snapshot()
    editor.run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'hotconfig-admin' AND datname = current_database()"
    )
    assert admin.snapshot().version > 0
    admin.close()
    assert admin.snapshot().version > 0


def test_the_password_is_asked_for_each_time(server: Server, database_name: str) -> None:
    """A callable is called for every connection, so that passwords may rotate."""
    asked = []

    def conninfo() -> str:
        asked.append(1)
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/{database_name}"

    with Admin(conninfo) as admin:
        admin.snapshot()
        admin.close()
        admin.snapshot()
    assert len(asked) == 2
