"""set and rollback, and init: what they write and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import on_a_terminal, out, printed, refused
from editing import Editor

from hotconfig.admin import Admin

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


@pytest.fixture
def version(editor: Editor) -> int:
    """Of the default profile at the beginning."""
    return editor.version()


def test_set(version: int) -> None:
    """All paths in one version, and each change in a line."""
    said = out("set", f"{TEMPERATURE}=0.2", "genie.space_name=Sales = 1")
    assert said.splitlines() == [
        f'profile "default": version {version} -> {version + 1}',
        "    ai_infra.llm_temperature: 0.7 -> 0.2",
        '    genie.space_name: "Databricks Usage Analytics" -> "Sales = 1"',
    ]
    assert out("show", TEMPERATURE) == "0.2\n"


def test_set_says_who_and_why() -> None:
    """--by and --note stand in the history."""
    out("set", f"{TEMPERATURE}=0.2", "--by", "alice", "--note", "calm")
    edit = json.loads(out("history", "--limit", "1", "--json"))
    assert (edit["actor"], edit["note"]) == ("alice", "calm")


def test_set_as_json(version: int) -> None:
    """One object, with the versions and the edits."""
    told = printed("set", f"{TEMPERATURE}=0.2")
    assert (told["profile"], told["old_version"], told["version"]) == ("default", version, version + 1)
    assert told["dry_run"] is False
    assert told["edits"][0]["changes"] == {"llm_temperature": {"old": 0.7, "new": 0.2}}


def test_set_what_is_set(version: int) -> None:
    """Nothing differs: done, and no version."""
    assert out("set", f"{TEMPERATURE}=0.70") == f'profile "default": version {version}, nothing differs\n'
    told = printed("set", f"{TEMPERATURE}=0.7")
    assert (told["old_version"], told["version"], told["edits"]) == (version, version, [])


def test_dry_run(version: int, editor: Editor) -> None:
    """It shows the same, says so, and saves nothing."""
    said = out("set", f"{TEMPERATURE}=0.2", "--dry-run")
    assert said.startswith(f'profile "default": version {version} -> {version + 1}, dry run: nothing was saved\n')
    assert printed("set", f"{TEMPERATURE}=0.2", "--dry-run")["dry_run"] is True
    assert editor.version() == version


def test_the_old_version_is_the_profile_s(version: int, editor: Editor) -> None:
    """Versions that others made in between do not count."""
    editor.publish("own", '{"a": 1}')
    assert out("set", f"{TEMPERATURE}=0.2").startswith(f'profile "default": version {version} -> {version + 2}\n')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.5", "0.5"),
        ("null", "null"),
        ('{"a"="b"}', '{"a"="b"}'),
        ("@@team", "@team"),
        ("", ""),
        (" a\nb ", " a\nb "),
    ],
)
def test_text_is_taken_literally(value: str, text: str) -> None:
    """For a text field; @@ is a literal @."""
    out("set", f"profile.description={value}")
    assert printed("show", "profile.description")["value"] == text


def test_files(tmp_path: Path) -> None:
    """@file is its exact content, @- that of standard input; of any type."""
    file = tmp_path / "prompt=1.txt"
    file.write_bytes("\tÜ {question}\r\n".encode())
    out("set", f"prompts.user_prompt_template=@{file}")
    assert printed("show", "prompts.user_prompt_template")["value"] == "\tÜ {question}\r\n"
    out("set", "ai_infra.llm_max_tokens=@-", stdin="17\n")
    assert out("show", "ai_infra.llm_max_tokens") == "17\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([TEMPERATURE], "is no assignment: right is for example ai_infra.llm_temperature=0.2"),
        (["=1"], "is no assignment"),
        ([f"{TEMPERATURE}=1", f"{TEMPERATURE}=1"], "is given twice"),
        (["profile.description=@/no/such"], "No such file or directory; a literal @ is written @@"),
        (["profile.description=@-", "genie.description=@-"], "only once"),
        ([], "Missing argument 'PATH=VALUE'"),
        ([f"{TEMPERATURE}=1", "--expect-version", "x"], "valid integer"),
        ([f"{TEMPERATURE}=1", "--profile", " "], "profile is empty"),
    ],
)
def test_set_misused(arguments: list[str], told: str) -> None:
    """What is no assignment is a matter of usage."""
    line = refused(2, "set", *arguments)
    assert told in line
    assert "see `hotconfig set --help`" in line


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        (f"{TEMPERATURE}=1.5", "ai_infra.llm_temperature = 1.5: Input should be less than or equal to 1"),
        (f"{TEMPERATURE}=warm", "'warm': not a JSON value"),
        (f"{TEMPERATURE}=NaN", "not a JSON value"),
        (f'{TEMPERATURE}="0.5"', "valid number"),
        ("ai_infra.llm_max_tokens=" + "1" * 5000, "not a JSON value"),
        ("ai_infra.heat=1", "there are profile.description, ai_infra.llm_endpoint"),
        ("llm_temperature=1", "llm_temperature is no setting (did you mean ai_infra.llm_temperature?): there are"),
        ("ai_infra.llm_max_token=1", "did you mean ai_infra.llm_max_tokens?"),
        ("profile.name=x", "rename the profile instead"),
    ],
)
def test_set_refused(assignment: str, told: str, editor: Editor, version: int) -> None:
    """What breaks a rule changes nothing, and the line names path and rule."""
    assert told in refused(1, "set", assignment)
    assert editor.version() == version


def test_not_utf_8(tmp_path: Path) -> None:
    """A file that is no text is refused."""
    (tmp_path / "image").write_bytes(b"\xff\xfe")
    assert "not UTF-8 text" in refused(2, "set", f"profile.description=@{tmp_path / 'image'}")


def test_conflict(version: int, editor: Editor) -> None:
    """Exit code 4, and who was faster with what."""
    editor.temperature(0.1)
    line = refused(4, "set", f"{TEMPERATURE}=0.2", "--expect-version", str(version))
    assert f"is at version {version + 1}, not at {version}" in line
    assert "by postgres: ai_infra.llm_temperature 0.7 -> 0.1" in line


def test_which_profile(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--profile, else HOTCONFIG_PROFILE, else the default one."""
    with Admin(database) as admin:
        admin.create_profile("b")
        admin.create_profile("c")
    monkeypatch.setenv("HOTCONFIG_PROFILE", "b")
    assert out("set", f"{TEMPERATURE}=0.2").startswith('profile "b"')
    assert out("set", f"{TEMPERATURE}=0.2", "--profile", "c").startswith('profile "c"')
    assert printed("show", "profile.name")["value"] == "b"
    assert "no profile 'd'" in refused(1, "set", f"{TEMPERATURE}=0.2", "--profile", "d")


# ---- rollback


def test_rollback(version: int, editor: Editor) -> None:
    """To before the newest change, or to a version: a new one."""
    for temperature in (0.1, 0.2, 0.3):
        editor.temperature(temperature)
    assert out("rollback", "--yes").splitlines() == [
        f'profile "default": version {version + 3} -> {version + 4}',
        "    ai_infra.llm_temperature: 0.3 -> 0.2",
    ]
    assert printed("rollback", "--yes", "--to", str(version), "--by", "al")["edits"][0]["actor"] == "al"
    assert out("show", TEMPERATURE) == "0.7\n"


def test_rollback_needs_yes_when_nobody_can_be_asked(editor: Editor) -> None:
    """A matter of usage; a dry run needs none."""
    version = editor.temperature(0.1)
    assert "add --yes" in refused(2, "rollback")
    code, shown = on_a_terminal("rollback", "--json")
    assert (code, "add --yes" in shown) == (2, True)
    assert "0.1 -> 0.7" in out("rollback", "--dry-run")
    assert editor.version() == version


@pytest.mark.parametrize(("typed", "code", "temperature"), [("y\n", 0, "0.7"), ("n\n", 1, "0.1"), ("\x04", 1, "0.1")])
def test_rollback_asks_on_a_terminal(editor: Editor, typed: str, code: int, temperature: str) -> None:
    """It shows the difference first; no, or no answer, changes nothing."""
    editor.temperature(0.1)
    done, shown = on_a_terminal("rollback", typed=typed)
    assert done == code, shown
    assert "Roll back?" in shown
    assert "llm_temperature" in shown.partition("Roll back?")[0]
    assert ("nothing was changed" in shown) == (code == 1)
    assert out("show", TEMPERATURE) == f"{temperature}\n"


def test_rollback_of_a_deleted_profile(database: str) -> None:
    """It is there again."""
    with Admin(database) as admin:
        admin.create_profile("b")
        admin.delete_profile("b")
    assert 'profile "b": version' in out("rollback", "--profile", "b", "--yes")
    assert "\n         b" in out("profiles")


def test_rollback_to_nowhere(version: int) -> None:
    """A version that is not there is refused."""
    assert "was not there at version 0" in refused(1, "rollback", "--to", "0", "--yes")
    assert "no version 99 yet" in refused(1, "rollback", "--to", "99", "--yes")


# ---- init


def test_init(editor: Editor) -> None:
    """It makes the default profile, once."""
    editor.run("UPDATE config_profiles SET is_default = false")
    editor.run("DELETE FROM config_profiles")
    would = out("init", "--dry-run")
    assert would.startswith('profile "default": version ')
    assert "nothing was saved" in would
    assert out("profiles") == "no profiles: `hotconfig init` makes the default one\n"
    version = editor.version()
    assert out("init") == f'profile "default": version 0 -> {version + 1}\n'
    assert out("init") == f'profile "default": version {version + 1}, nothing differs\n'
    assert printed("init")["version"] == version + 1
