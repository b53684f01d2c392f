"""profile create, rename, describe, delete, activate: what they write and say, and that readers follow."""

from __future__ import annotations

import json
import shlex

import pytest
from commands import on_a_terminal, out, printed, refused, run
from editing import FOREVER, Editor, eventually

from hotconfig import Client
from hotconfig.admin import Admin
from hotconfig.cli.profile import profiles

TEMPERATURE = "ai_infra.llm_temperature"
VERBS = {getattr(command.callback, "__name__", ""): command for command in profiles.registered_commands}


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


@pytest.fixture
def version(editor: Editor) -> int:
    """The newest one, once there is a profile "b" with a temperature of 0.2."""
    out("profile", "create", "b")
    out("set", f"{TEMPERATURE}=0.2", "--profile", "b")
    return editor.version()


def names() -> list[str]:
    return [each["name"] for each in printed("profiles")["profiles"]]


def test_help() -> None:
    """The verbs are listed, also without being asked."""
    assert list(VERBS) == ["create", "rename", "describe", "delete", "activate"]
    assert out("profile") == out("profile", "--help")
    assert "activate" in out("profile")
    assert "No such command 'frob'" in refused(2, "profile", "frob")


def test_examples(editor: Editor) -> None:
    """The examples in the help work as they stand, in an order of their own."""
    commands = [(VERBS[verb].epilog or "").removeprefix("Example: ") for verb in VERBS]
    for verb, command in zip(VERBS, commands, strict=True):
        assert " ".join(command.split()) in " ".join(out("profile", verb, "--help").split())
    create, rename, describe, delete, activate = (shlex.split(command)[1:] for command in commands)
    for arguments in (create, describe, activate, ["profile", "activate", "default"], delete, create, rename):
        assert out(*arguments)


def test_create(editor: Editor) -> None:
    """With the defaults or as a copy; each value is shown."""
    version = editor.temperature(0.1)
    first, *changes = out(
        "profile", "create", "copy", "--from", "default", "--description", "x", "--by", "al"
    ).splitlines()
    assert first == f'profile "copy": version 0 -> {version + 1}'
    assert f"    {TEMPERATURE}: nothing -> 0.1" in changes
    assert '    profile.description: nothing -> "x"' in changes
    assert f"    {TEMPERATURE}: nothing -> 0.7" in out("profile", "create", "new").splitlines()
    edits = [json.loads(line) for line in out("history", "--profile", "copy", "--json").splitlines()]
    assert {edit["actor"] for edit in edits} == {"al"}


def test_rename(version: int) -> None:
    """The version before is that of the profile by its old name."""
    assert out("profile", "rename", "b", "c", "--note", "clearer").splitlines() == [
        f'profile "c": version {version} -> {version + 1}',
        '    profile.name: "b" -> "c"',
    ]
    assert names() == ["c", "default"]
    told = printed("profile", "rename", "c", "b")
    assert (told["profile"], told["old_version"], told["version"]) == ("b", version + 1, version + 2)
    assert out("profile", "rename", "b", "b") == f'profile "b": version {version + 2}, nothing differs\n'


def test_describe(version: int) -> None:
    """One line."""
    assert out("profile", "describe", "b", "calm").splitlines() == [
        f'profile "b": version {version} -> {version + 1}',
        '    profile.description: "" -> "calm"',
    ]


def test_activate(version: int, editor: Editor) -> None:
    """The one that was meant comes first, in JSON it alone; the one that was the default is told too."""
    before = printed("show", "--profile", "default")["version"]
    assert out("profile", "activate", "b").splitlines() == [
        f'profile "b": version {version} -> {version + 1}',
        "    profile.is_default: false -> true",
        f'profile "default": version {before} -> {version + 1}',
        "    profile.is_default: true -> false",
    ]
    told = printed("profile", "activate", "default")
    assert (told["profile"], told["old_version"], told["version"]) == ("default", version + 1, version + 2)
    assert {edit["document"] for edit in told["edits"]} == {"profile/b", "profile/default"}
    assert out("profile", "activate", "default") == f'profile "default": version {version + 2}, nothing differs\n'


def test_delete(version: int) -> None:
    """It says so, and what is gone."""
    first, *changes = out("profile", "delete", "b", "--yes").splitlines()
    assert first == f'profile "b": version {version} -> {version + 1}, deleted'
    assert f"    {TEMPERATURE}: 0.2 -> nothing" in changes
    assert names() == ["default"]


def test_the_default_profile_cannot_be_deleted(version: int, editor: Editor) -> None:
    """The line says what to do first; nobody is asked."""
    line = refused(1, "profile", "delete", "default", "--yes")
    assert line.startswith("nothing was saved: profile 'default' is the default one and cannot be deleted.")
    assert "Next: `hotconfig profile activate` another one first." in line
    code, shown = on_a_terminal("profile", "delete", "default")
    assert (code, "Delete" in shown) == (1, False)
    assert editor.version() == version


def test_delete_needs_yes_when_nobody_can_be_asked(version: int, editor: Editor) -> None:
    """A matter of usage; a dry run needs none."""
    assert "add --yes" in refused(2, "profile", "delete", "b")
    assert "add --yes" in run("profile", "delete", "b", "--json").stderr
    assert "deleted, dry run: nothing was saved" in out("profile", "delete", "b", "--dry-run")
    assert editor.version() == version


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, False), ("n\n", 1, True), ("\x04", 1, True)])
def test_delete_asks_on_a_terminal(version: int, typed: str, code: int, left: bool) -> None:
    """It shows what would go; no, or no answer, changes nothing."""
    done, shown = on_a_terminal("profile", "delete", "b", typed=typed)
    before, asked, after = shown.partition('Delete profile "b"?')
    assert (done, bool(asked)) == (code, True), shown
    assert "llm_temperature" in before
    assert ("nothing was changed" in after, "llm_temperature" in after) == (left, False)
    assert ("b" in names()) == left


def test_the_version_that_create_expects_is_of_the_copied_one() -> None:
    """Without one it is a matter of usage."""
    assert "--from" in refused(2, "profile", "create", "c", "--expect-version", "1")


@pytest.mark.parametrize(
    "arguments",
    [["create", "c", "--from", "b"], ["rename", "b", "c"], ["describe", "b", "x"], ["delete", "b"], ["activate", "b"]],
)
def test_expected_version_and_dry_run(version: int, editor: Editor, arguments: list[str]) -> None:
    """Another version is a conflict, with exit code 4; the right one is none; a dry run saves nothing."""
    yes = ["--yes"] if arguments[0] == "delete" else []
    line = refused(4, "profile", *arguments, *yes, "--expect-version", str(version - 1))
    assert f'document "profile/b" is at version {version}, not at {version - 1}' in line
    assert f"{TEMPERATURE} 0.7 -> 0.2" in line
    expected = ["--expect-version", str(version)]
    assert "nothing was saved" in out("profile", *arguments, *expected, "--dry-run")
    assert editor.version() == version
    assert out("profile", *arguments, *yes, *expected)
    assert editor.version() == version + 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "b"], "already a profile of this name"),
        (["create", " "], "must not be blank"),
        (["create", "c", "--from", "nobody"], "no profile 'nobody'"),
        (["rename", "b", "default"], "already a profile of this name"),
        (["describe", "nobody", "x"], "no profile 'nobody'"),
        (["activate", "nobody"], "no profile 'nobody'"),
        (["delete", "nobody", "--yes"], "no profile 'nobody'"),
    ],
)
def test_refused(version: int, editor: Editor, arguments: list[str], told: str) -> None:
    """One line, and nothing is changed."""
    assert told in refused(1, "profile", *arguments)
    assert editor.version() == version


def test_readers_follow(version: int, database: str) -> None:
    """Who follows the default profile has the new one; who follows a name keeps what there was under it."""
    with (
        Client(database, heartbeat=FOREVER) as everybody,
        Client(database, heartbeat=FOREVER, profile="b") as follower,
        Admin(database) as admin,
    ):
        assert everybody.current().profile.name == "default"
        out("profile", "activate", "b")
        activated = everybody.wait_for(until=lambda cfg: cfg.profile.name == "b", timeout=20)
        assert activated.ai_infra.llm_temperature == 0.2
        out("profile", "rename", "b", "c")
        assert everybody.wait_for(until=lambda cfg: cfg.profile.name == "c", timeout=20).profile.is_default
        eventually(lambda: "no profile 'b'" in str(follower.status().error))
        assert follower.current().profile.name == "b"
        admin.rename_profile("c", "b")
        eventually(lambda: follower.status().healthy)
