"""Admin: profiles are created, renamed, described, activated, deleted; init makes the first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from editing import Editor

from hotconfig.admin import Admin
from hotconfig.errors import (
    InvalidConfig,
    NoDefaultProfile,
    NoSuchProfile,
)
from hotconfig.profile import default_profile

TEMPERATURE = "ai_infra.llm_temperature"


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
