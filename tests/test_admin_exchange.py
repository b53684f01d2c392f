"""Admin.export and Admin.import_: exact, whole or not at all, and nothing overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import exchanging
import pytest
import sqlalchemy as sa
from editing import Editor
from exchanging import Data, data, profile
from hypothesis import HealthCheck, given, settings
from sessions import add_profile

from hotconfig import _rows
from hotconfig._notation import Text, dump
from hotconfig.admin import Admin
from hotconfig.errors import InvalidConfig, NoSuchProfile, VersionConflict
from hotconfig.models import ConfigProfile

TEMPERATURE = "ai_infra.llm_temperature"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=exchanging.exports())
def test_round_trip(admin: Admin, wanted: Data) -> None:
    """Every value comes back exactly, and an export of what was imported is the same text."""
    admin.import_(wanted, prune=True)
    assert admin.export() == wanted
    text = "".join(dump(admin.export(), "yaml"))
    admin.import_(data(other=profile()), prune=True)
    read = Text(text.encode(), "file", "yaml").data
    assert isinstance(read, dict)
    admin.import_(read, prune=True)
    assert "".join(dump(admin.export(), "yaml")) == text
    assert admin.import_(read, prune=True).edits == ()


def test_export(admin: Admin) -> None:
    """By name, the fields in the model's order; no ids, versions or times."""
    admin.create_profile("b", description="second")
    admin.create_profile("Z")
    exported = admin.export()
    assert list(exported) == ["hotconfig", "default", "profiles"]
    assert (exported["hotconfig"], exported["default"]) == (1, "default")
    profiles = exported["profiles"]
    assert isinstance(profiles, dict)
    assert list(profiles) == ["Z", "b", "default"]
    expected = admin.snapshot("b").model_dump(exclude={"version", "profile"})
    assert profiles["b"] == {"description": "second", **expected}
    assert list(profiles["b"]) == ["description", "ai_infra", "genie", "mlflow", "prompts"]
    assert [list(profiles["b"][domain]) for domain in expected] == [list(fields) for fields in expected.values()]


def test_export_of_some(admin: Admin) -> None:
    """They do not say which one is the default one, so that nobody's changes elsewhere."""
    admin.create_profile("b")
    assert list(admin.export(["default"])) == ["hotconfig", "profiles"]
    assert admin.export([])["profiles"] == {}
    with pytest.raises(NoSuchProfile, match="'c'"):
        admin.export(["b", "c"])
    with pytest.raises(TypeError, match="in a list"):
        admin.export("default")


def test_export_without_a_default_profile(admin: Admin, editor: Editor) -> None:
    """It names none, and an import leaves it so."""
    editor.run("UPDATE config_profiles SET is_default = false")
    exported = admin.export()
    assert "default" not in exported
    assert admin.import_(exported).edits == ()


def test_import_is_one_version(admin: Admin, editor: Editor) -> None:
    """Some are updated, others created, another one becomes the default one; those not named stay."""
    before = editor.version()
    admin.create_profile("b")
    admin.create_profile("stays")
    wanted = admin.export(["default", "b"]) | {"default": "c"}
    profiles = wanted["profiles"]
    assert isinstance(profiles, dict)
    profiles["b"]["ai_infra"]["llm_temperature"] = 0
    profiles["c"] = profile()
    written = admin.import_(wanted)
    assert written.version == editor.version() == before + 3
    told = {(edit.document, edit.domain, edit.action, edit.actor, edit.note) for edit in written.edits}
    assert ("profile/b", "ai_infra", "update", "alice", "a test") in told
    assert ("profile/c", "prompts", "create", "alice", "a test") in told
    assert ("profile/default", "profile", "update", "alice", "a test") in told
    assert not [edit for edit in written.edits if edit.document == "profile/stays"]
    assert admin.snapshot().profile.name == "c"
    assert admin.snapshot("b").ai_infra.llm_temperature == 0
    assert [each.name for each in admin.profiles()] == ["b", "c", "default", "stays"]


def test_prune(admin: Admin) -> None:
    """What is not named goes, the old default one too; only data that name the default one may do that."""
    admin.create_profile("b")
    with pytest.raises(InvalidConfig, match="default: is required to delete"):
        admin.import_(admin.export(["b"]), prune=True)
    written = admin.import_(data(c=profile()), prune=True)
    assert {edit.action for edit in written.edits if edit.domain == "mlflow"} == {"create", "delete"}
    assert [each.name for each in admin.profiles()] == ["c"]
    assert written.old_versions == {"profile/b": 2, "profile/c": 0, "profile/default": 1}


def test_an_incomplete_profile(admin: Admin, editor: Editor) -> None:
    """It is exported as it is; an import wants it whole, and completes it."""
    add_profile(editor.connection, "half")
    editor.run("DELETE FROM config_mlflow USING config_profiles p WHERE profile_id = p.id AND name = 'half'")
    exported = admin.export()
    with pytest.raises(InvalidConfig) as refused:
        admin.import_(exported)
    assert str(refused.value) == 'nothing was saved: profile "half": mlflow: is required'
    profiles = exported["profiles"]
    assert isinstance(profiles, dict)
    profiles["half"]["mlflow"] = {"experiment_name": "/there"}
    admin.import_(exported)
    assert admin.snapshot("half").mlflow.experiment_name == "/there"


# ---- refused


def without(*way: str) -> Callable[[Data], object]:
    def change(wanted: Data) -> object:
        *ways, last = way
        for step in ways:
            wanted = wanted[step]
        return wanted.pop(last)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it.update(hotconfig=2), "hotconfig: this is format 2, and this hotconfig reads 1: upgrade"),
        (lambda it: it.update(hotconfig=True), "hotconfig: must be the number of the format, 1"),
        (without("hotconfig"), "hotconfig: must be the number of the format, 1"),
        (without("profiles"), "profiles: must be an object"),
        (lambda it: it.update(profile={}), "profile: is not known here: there are hotconfig, default, profiles"),
        (lambda it: it.update(default="c"), "default: must be the name of one of the profiles here"),
        (lambda it: it.update(default=None), "default: must be the name"),
        (lambda it: it["profiles"].update(c=5), 'profile "c": must be an object with description, ai_infra'),
        (lambda it: it["profiles"].update({" ": profile()}), 'profile " ": " ": must not be blank'),
        (lambda it: it["profiles"].update({5: profile()}), 'profile "5": a name must be text'),
        (without("profiles", "b", "description"), 'profile "b": description: is required'),
        (without("profiles", "b", "genie"), 'profile "b": genie: is required'),
        (without("profiles", "b", "genie", "description"), 'profile "b": genie.description: is required'),
        (without("profiles", "b", "mlflow", "experiment_name"), 'profile "b": mlflow.experiment_name: is required'),
        (lambda it: it["profiles"]["b"].update(mlflow=None), 'profile "b": mlflow: must be an object with experiment'),
        (lambda it: it["profiles"]["b"].update(id=7), 'profile "b": id: is not known here'),
        (lambda it: it["profiles"]["b"]["mlflow"].update(run="x"), 'profile "b": mlflow.run: is not known here'),
        (
            lambda it: it["profiles"]["b"]["ai_infra"].update(llm_temperature=1.5),
            'profile "b": ai_infra.llm_temperature: 1.5: Input should be less than or equal to 1',
        ),
        (lambda it: it["profiles"]["b"]["ai_infra"].update(llm_temperature="0.5"), "valid number"),
        (lambda it: it["profiles"]["b"]["ai_infra"].update(llm_max_tokens=True), "valid integer"),
        (lambda it: it["profiles"]["b"].update(description=["x"]), 'profile "b": description: Input should be a valid'),
        (
            lambda it: it["profiles"]["b"].update(description="a\0b"),
            'profile "b": description: must not contain U+0000',
        ),
        (
            lambda it: it["profiles"]["b"].update(description="\ud800"),
            'profile "b": description: must not contain U+D800',
        ),
    ],
)
def test_refused(admin: Admin, editor: Editor, change: Callable[[Data], object], told: str) -> None:
    """What is wrong is named with profile, field and rule, and nothing is saved, not even what is right."""
    before = editor.version()
    wanted = data(a=profile(), b=profile())
    change(wanted)
    with pytest.raises(InvalidConfig) as refused:
        admin.import_(wanted)
    assert str(refused.value).startswith(f"nothing was saved: {told}") or told in str(refused.value)
    assert editor.version() == before
    assert [each.name for each in admin.profiles()] == ["default"]


def test_everything_wrong_is_told(admin: Admin) -> None:
    """At once, of all profiles."""
    wanted = data(a=profile(mlflow={"experiment_name": "x"}), b=profile(ai_infra={"llm_temperature": 0.123}, mlflow={}))
    del wanted["profiles"]["b"]["genie"]
    with pytest.raises(InvalidConfig) as refused:
        admin.import_(wanted)
    assert len(str(refused.value).split("; ")) == 3


def test_the_database_refuses(admin: Admin, editor: Editor) -> None:
    """A rule of its own undoes what came before it."""
    editor.run("ALTER TABLE config_mlflow ADD CONSTRAINT ours CHECK (experiment_name <> '/forbidden')")
    with pytest.raises(InvalidConfig, match="ours"):
        admin.import_(data(a=profile(), b=profile(mlflow={"experiment_name": "/forbidden"})))
    assert [each.name for each in admin.profiles()] == ["default"]


def test_dry_run(database: str, admin: Admin, editor: Editor) -> None:
    """It tells the same and saves nothing."""
    before = editor.version()
    with Admin(database, dry_run=True) as dry:
        would = dry.import_(data(a=profile()))
        assert would.old_versions == {"profile/a": 0, "profile/default": before}
    assert editor.version() == before
    both = would, admin.import_(data(a=profile()))
    first, second = ([(edit.document, edit.domain, edit.action) for edit in written.edits] for written in both)
    assert first == second
    assert both[0].version == both[1].version


# ---- somebody else edits


def test_expected_version(admin: Admin, editor: Editor) -> None:
    """A profile of the data that has changed since is a conflict which says how; another one is none."""
    wanted = admin.export()
    admin.create_profile("other")
    version = editor.version()
    admin.update("other", {TEMPERATURE: 0.1})
    assert admin.import_(wanted, expect_version=version).edits == ()
    changed = editor.temperature(0.2)
    with pytest.raises(VersionConflict) as conflict:
        admin.import_(wanted, expect_version=version)
    assert str(conflict.value).startswith(f'document "profile/default" has changed since version {version}.')
    assert f"Version {changed} by postgres: ai_infra.llm_temperature 0.7 -> 0.2." in str(conflict.value)
    with pytest.raises(VersionConflict, match=f"has changed since version {version}"):
        admin.import_(wanted, prune=True, expect_version=version)
    admin.import_(wanted)
    assert admin.snapshot().ai_infra.llm_temperature == 0.7


def test_a_profile_that_is_created_while_it_runs(admin: Admin, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who pruned has seen it: it stays."""
    admin.create_profile("old")
    delete = sa.delete

    def created(table: type[ConfigProfile]) -> sa.Delete:
        monkeypatch.undo()
        add_profile(editor.connection, "young")
        return delete(table)

    monkeypatch.setattr("hotconfig._exchange.sa.delete", created)
    admin.import_(admin.export(["default"]) | {"default": "default"}, prune=True)
    assert [each.name for each in admin.profiles()] == ["default", "young"]


def test_an_edit_while_it_runs(admin: Admin, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a profile of the data, behind the comparison: a conflict, and not half of each."""
    wanted = admin.export()
    profiles = wanted["profiles"]
    assert isinstance(profiles, dict)
    profiles["default"]["description"] = "new"
    assign = _rows.assign

    def edited(row: object, values: Mapping[str, object]) -> None:
        monkeypatch.undo()
        editor.temperature(0.2)
        assign(row, values)

    monkeypatch.setattr("hotconfig._rows.assign", edited)
    with pytest.raises(VersionConflict, match='"profile/default" is at version'):
        admin.import_(wanted)
    assert admin.snapshot().profile.description == ""
