"""show and profiles: what they print, for people and for programs."""

from __future__ import annotations

import pytest
from commands import on_a_terminal, out, printed, refused
from editing import Editor

from hotconfig.admin import Admin

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


def test_show(database: str) -> None:
    """A line for each path in the order of the model; longer texts below theirs; JSON is the document."""
    lines = out("show").splitlines()
    assert lines[1:8] == [
        "profile.id = 1",
        "profile.name = default",
        "profile.description = ",
        "profile.is_default = true",
        "ai_infra.llm_endpoint = databricks-claude-sonnet-4-5",
        "ai_infra.llm_temperature = 0.7",
        "ai_infra.llm_max_tokens = 60000",
    ]
    assert lines[lines.index("prompts.system_prompt =") + 1].startswith("    You are a data analyst")
    with Admin(database) as admin:
        assert printed("show") == admin.snapshot().model_dump()


def test_show_a_part(editor: Editor) -> None:
    """A section as lines, a value as it is."""
    assert out("show", "ai_infra").splitlines()[1] == "ai_infra.llm_temperature = 0.7"
    assert out("show", "profile.name") == "default\n"
    assert out("show", "profile.is_default") == "true\n"
    assert printed("show", TEMPERATURE) == {
        "document": "profile/default",
        "version": editor.version(),
        "path": TEMPERATURE,
        "value": 0.7,
    }
    for path in ("nothing", "ai_infra.nothing", "profile.name.first"):
        assert f'profile "default" has no {path}: it has version, profile.id' in refused(1, "show", path)
    assert "is no path" in refused(2, "show", "a..b")


def test_show_the_past(editor: Editor) -> None:
    """At a version, or at a time; local unless it says where."""
    first = editor.version()
    at = editor.ask("SELECT clock_timestamp()")
    editor.temperature(0.2)
    assert out("show", TEMPERATURE, "--version", str(first)) == "0.7\n"
    for time in (at.isoformat(), at.astimezone().replace(tzinfo=None).isoformat()):
        assert out("show", TEMPERATURE, "--at", time) == "0.7\n"
    assert "was not there at 2000" in refused(1, "show", "--at", "2000-01-01")
    assert "right is for example 2026" in refused(2, "show", "--at", "noon")
    assert "not both" in refused(2, "show", "--at", "2000-01-01", "--version", "1")
    assert "no version 99 yet" in refused(1, "show", "--version", "99")


def test_show_a_document_of_your_own(editor: Editor) -> None:
    """As it is published; a key with a dot is quoted."""
    first = editor.publish("own", '{"a": {"x.y": [1, "é"]}, "e": {}, "n": null}')
    editor.publish("own", '{"a": {}}')
    old = ("--document", "own", "--version", str(first))
    assert out("show", *old).splitlines() == ['a."x.y" = [1, "é"]', "e = {}", "n = null", f"version = {first}"]
    assert out("show", 'a."x.y"', *old) == '[1, "é"]\n'
    assert printed("show", *old) == {"a": {"x.y": [1, "é"]}, "e": {}, "n": None, "version": first}
    assert "no document 'other'" in refused(1, "show", "--document", "other")
    assert "not both" in refused(2, "show", "--document", "own", "--profile", "default")


def test_a_terminal_is_not_controlled(editor: Editor) -> None:
    """What would move its cursor or set its title is shown as an escape; a pipe gets it unchanged."""
    editor.run("UPDATE config_profiles SET description = E'\\x1b]0;hi\\x07'")
    assert out("show", "profile.description") == "\x1b]0;hi\x07\n"
    for arguments in (["show", "profile.description"], ["show"], ["history"], ["profiles"]):
        code, shown = on_a_terminal(*arguments)
        assert code == 0
        assert "\x1b]0" not in shown


def test_json_does_not_control_a_terminal(editor: Editor) -> None:
    """JSON has escapes of its own, and stays the same value."""
    editor.run(r"UPDATE config_profiles SET description = E'\u009b31m\u202e\x7f'")
    shown = out("show", "profile.description", "--json")
    assert shown.endswith('"value": "\\u009b31m\\u202e\\u007f"}\n')


def test_nobody_forges_a_line(editor: Editor) -> None:
    """A line break in a name, an actor or a note is shown as an escape, as is what turns the direction of a text."""
    editor.run(r"SET hotconfig.actor = E'eve\n7  today  the boss'; SET hotconfig.note = E'x\u202Ey'")
    editor.run(r"INSERT INTO config_profiles (name) VALUES (E'a\n*        other')")
    first, *_ = out("history").splitlines()
    assert r"  eve\n7  today  the boss  " in first
    assert r"x\u202ey" in first
    assert [row.split()[0] for row in out("profiles").splitlines()] == ["default", r"a\n*", "*"]


def test_colours(editor: Editor) -> None:
    """On a terminal only."""
    editor.temperature(0.1)
    assert "\x1b[" in on_a_terminal("history")[1]
    assert "\x1b[" not in out("history")


def test_profiles(database: str) -> None:
    """By name, the default one marked."""
    with Admin(database) as admin:
        admin.create_profile("b", description="[red]" + "long " * 40)
    heading, *rows = out("profiles").splitlines()
    assert heading.split() == ["default", "name", "id", "description"]
    assert [row.split()[:3] for row in rows] == [["b", "2", "[red]long"], ["*", "default", "1"]]
    found = printed("profiles")["profiles"]
    assert [(each["name"], each["is_default"]) for each in found] == [("b", False), ("default", True)]
