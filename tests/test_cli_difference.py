"""How two documents differ, as people are shown it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

import pytest
from commands import on_a_terminal, out

from hotconfig.admin import Admin
from hotconfig.cli.difference import print_difference

TYPES = """
import pathlib, sys
file = pathlib.Path(sys.argv[1])
file.write_text(file.read_text().replace("llm_temperature: 0.7", "llm_temperature: 0.2").replace("two", "zwei "))
"""


def shown(capsys: pytest.CaptureFixture[str], old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    print_difference(old, new)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"a": {"b": 0.7}}, {"a": {"b": 0.2}}, "a.b: 0.7 -> 0.2"),
        ({"a": {"b": "x "}}, {"a": {"b": "x"}}, 'a.b: "x " -> "x"'),
        ({"a": 1}, {"a": True}, "a: 1 -> true"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a: [1, 2] -> [1, 3]"),
        ({"a": {"x.y": 1}}, {"a": {"x.y": None}}, 'a."x.y": 1 -> nothing'),
        ({}, {"a": {"b": {"c": 1}}}, "a.b.c: nothing -> 1"),
        ({"a": {"b": 1}}, {"a": 2}, 'a: {"b": 1} -> 2'),
        ({"a": {}}, {"a": {"b": 1}}, "a.b: nothing -> 1"),
        ({"a": {}}, {"a": 1}, "a: {} -> 1"),
    ],
)
def test_a_value(capsys: pytest.CaptureFixture[str], old: dict[str, object], new: dict[str, object], line: str) -> None:
    """Each is a line, old and new as JSON."""
    assert shown(capsys, old, new) == [f"    {line}"]


@pytest.mark.parametrize("value", [{"a": {"b": "x"}}, {}, {"a": None}])
def test_nothing(capsys: pytest.CaptureFixture[str], value: dict[str, object]) -> None:
    """What is equal is not shown; nor is a whole number that is written as a fraction."""
    assert shown(capsys, value, value) == []
    assert shown(capsys, {**value, "n": 1}, {**value, "n": 1.0}) == []


def test_a_text_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """It is compared line by line; far from a difference nothing is shown."""
    lines = [f"line {number}" for number in range(20)]
    old = {"prompts": {"system_prompt": "\n".join(lines)}}
    new = {"prompts": {"system_prompt": "\n".join([*lines[:10], "another", *lines[11:], ""])}}
    assert shown(capsys, old, new) == [
        "    prompts.system_prompt:",
        *(f"        {line}" for line in ["@@ -8,7 +8,7 @@", " line 7", " line 8", " line 9", "-line 10", "+another"]),
        *(f"        {line}" for line in [" line 11", " line 12", " line 13"]),
        *(f"        {line}" for line in ["@@ -18,3 +18,4 @@", " line 17", " line 18", " line 19", "+"]),
    ]


def test_a_long_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown whole, however long: two places of it may differ."""
    old, new = "x" * 100 + "a", "y" * 100 + "b"
    assert shown(capsys, {"a": old}, {"a": new})[2:] == [f"        -{old}", f"        +{new}"]
    assert shown(capsys, {}, {"a": new})[2:] == [f"        +{new}"]


def test_what_would_control_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown as its number."""
    assert shown(capsys, {"a": "b\n"}, {"a": "b\r\n\x1b[2J"})[-3:] == [
        "        -",
        "        +b\\x0d",
        "        +\\x1b[2J",
    ]


def test_colours(admin: Admin, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal old is red, new is green, a place is cyan, a blank at the end is seen; elsewhere there are none."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", TYPES]))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    admin.update(None, {"prompts.system_prompt": "one\ntwo"})
    difference = [
        "    ai_infra.llm_temperature: \x1b[31m0.7\x1b[0m -> \x1b[32m0.2\x1b[0m",
        "    prompts.system_prompt:",
        "        \x1b[36m@@ -1,2 +1,2 @@\x1b[0m",
        "         one",
        "        \x1b[31m-two\x1b[0m",
        "        \x1b[32m+zwei\x1b[0m\x1b[7;32m \x1b[0m",
    ]
    edited, looked = (on_a_terminal(*verb)[1].splitlines() for verb in (["edit", "--yes"], ["diff"]))
    assert (edited[:-1], looked[1:]) == (difference, difference)
    assert "\x1b[" not in out("diff")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in on_a_terminal("diff")[1]
