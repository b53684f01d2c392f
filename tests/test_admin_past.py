"""Admin: history, roll back, snapshots of the past, differences."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from editing import Editor

from hotconfig.admin import Admin
from hotconfig.errors import (
    HotConfigError,
    InvalidConfig,
    NoSuchDocument,
    NoSuchProfile,
    VersionConflict,
)

TEMPERATURE = "ai_infra.llm_temperature"


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


def test_rollback_of_an_activation(admin: Admin) -> None:
    """It is refused, with what takes an activation back: nothing that was done before is undone in its place."""
    version = admin.create_profile("b").version
    admin.activate("b")
    with pytest.raises(HotConfigError, match=rf"'b', version {version + 1}, made it the default one, .* activate NAME"):
        admin.rollback("b")
    with pytest.raises(HotConfigError, match=r"made another one the default one"):
        admin.rollback("default")
    assert admin.newest_version() == version + 1
    admin.update("b", {TEMPERATURE: 0.2})
    admin.rollback("b")
    assert admin.snapshot().ai_infra.llm_temperature == 0.7


def test_rollback_to_what_was_incomplete(admin: Admin, editor: Editor) -> None:
    """Not with what is there today in its place: it is refused, with what was missing."""
    admin.create_profile("b")
    editor.run("DELETE FROM config_mlflow USING config_profiles p WHERE profile_id = p.id AND name = 'b'")
    half = editor.version()
    admin.update("b", {"mlflow.experiment_name": "/x"})
    with pytest.raises(InvalidConfig, match=r"nothing was saved: .*mlflow: Field required"):
        admin.rollback("b", to=half)


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


def test_an_empty_document(admin: Admin, editor: Editor) -> None:
    """It is there, though it holds nothing, until it goes; who published it and who took it back is told."""
    for before in (None, '{"a": 1}', '{"a": {}}'):
        editor.publish("own", before)
        empty, gone = editor.publish("own", "{}"), editor.publish("own", None)
        assert admin.document("own", version=empty) == {"version": empty}
        with pytest.raises(NoSuchDocument, match="own"):
            admin.document("own", version=gone)
    made = {edit.version for edit in admin.history(document="own")}
    assert made == set(range(min(made), editor.version() + 1))


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
