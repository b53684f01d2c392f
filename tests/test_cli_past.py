"""history and diff: what they print, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from commands import out, printed, refused, run
from editing import Editor

from hotconfig.admin import Admin
from hotconfig.cli import past

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


def edits(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out("history", "--json", *arguments).splitlines()]


def rows(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out("history", "--csv", *arguments), newline=""), strict=True))


def test_history(editor: Editor) -> None:
    """The newest first, a heading for each version; JSON is a line for each edit."""
    editor.run("SELECT set_config('hotconfig.actor', 'bob', false), set_config('hotconfig.note', 'why', false)")
    first = editor.temperature(0.1)
    editor.run("UPDATE config_prompts SET system_prompt = system_prompt || ' Be brief.'")
    heading, change, older, *_ = out("history").splitlines()
    assert heading.startswith(f"{first + 1}  ")
    assert heading.endswith("  bob  profile/default  why")
    assert change == '    prompts.system_prompt: … before or after it." -> … before or after it. Be brief."'
    assert older.startswith(f"{first}  ")
    newest, second = edits("--limit", "2")
    assert (newest["version"], second["version"]) == (first + 1, first)
    assert second["changes"] == {"llm_temperature": {"old": 0.7, "new": 0.1}}
    assert set(second) == {"id", "version", "document", "domain", "action", "actor", "note", "at", "changes"}


def test_history_of_one(database: str, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """All documents, unless a profile or a document is named; a deleted one too."""
    with Admin(database) as admin:
        admin.create_profile("b")
        admin.delete_profile("b")
    editor.publish("own", '{"a": 1}')

    def documents(*arguments: str) -> set[str]:
        return {edit["document"] for edit in edits(*arguments)}

    assert documents() == {"profile/default", "profile/b", "own"}
    assert documents("--profile", "b") == {"profile/b"}
    assert documents("--document", "own") == {"own"}
    monkeypatch.setenv("HOTCONFIG_PROFILE", "default")
    assert documents() == {"profile/default"}


def test_history_filters(editor: Editor) -> None:
    """By domain, path, person and time, all that are given together."""
    with Admin(actor="bob") as admin:
        first = admin.update(None, {TEMPERATURE: 0.2, "genie.space_name": "Sales"})
    second = editor.tokens(5)
    at = first.edits[0].at.isoformat()

    def versions(*arguments: str) -> list[int]:
        return [edit["version"] for edit in edits(*arguments)]

    assert versions("--domain", "ai_infra")[:2] == [second, first.version]
    assert versions("--path", TEMPERATURE)[0] == first.version
    assert versions("--by", "bob") == [first.version] * 2
    assert versions("--by", "bob", "--domain", "genie") == [first.version]
    assert second in versions("--since", at)
    assert second not in versions("--until", at)
    assert "right is for example 2026" in refused(2, "history", "--since", "yesterday")


def test_history_cuts_no_version(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """--limit counts versions, also those that are read in several pages; --before an id goes on behind them."""
    monkeypatch.setattr(past, "PAGE", 2)
    version = editor.temperature(0.1)
    with Admin() as admin:
        admin.create_profile("b")
    newest = edits("--limit", "1")
    assert [(edit["version"], edit["document"]) for edit in newest] == [(version + 1, "profile/b")] * 5
    assert [edit["version"] for edit in edits("--limit", "1", "--before", str(newest[-1]["id"]))] == [version]


def test_history_says_when_the_default_cuts_it(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, with how to go on; whoever gave a limit and is no terminal knows."""
    monkeypatch.setattr(past, "VERSIONS", 1)
    editor.temperature(0.1)
    editor.temperature(0.2)
    for arguments in ((), ("--json",), ("--csv",)):
        done = run("history", *arguments)
        assert done.exit_code == 0
        assert done.stderr == f"there are older ones: add --before {editor.ask('SELECT max(id) FROM config_history')}\n"
    out("history", "--limit", "1")


def test_history_of_what_never_was(editor: Editor) -> None:
    """An error that lists what there is; what is known and has no edits of the kind is none."""
    editor.publish("own", '{"a": {"b": 1}}')
    assert refused(1, "history", "--profile", "nobody") == "there is no profile 'nobody': there are 'default'"
    assert refused(1, "history", "--document", "other") == "there is no document 'other': there are 'own'"
    assert "there are ai_infra, genie, mlflow, profile, prompts" in refused(
        1, "history", "--profile", "default", "--path", "ai_infra.heat"
    )
    assert "there are a" in refused(1, "history", "--document", "own", "--path", "a.c")
    done = run("history", "--by", "nobody")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nothing of this kind" in done.stderr
    assert edits("--by", "nobody", "--path", "a.b") == []


def test_history_as_csv(editor: Editor) -> None:
    """A row for each field, values as JSON, so that a text and a number stay two things."""
    with Admin(actor="bob", note='says "hi",\nthen goes') as admin:
        version = admin.update(None, {TEMPERATURE: 0.2, "genie.space_name": '=1+1, "x"\n'}).version
    found = rows("--limit", "1")
    assert [(row["path"], row["old"], row["new"]) for row in found] == [
        ("genie.space_name", '"Databricks Usage Analytics"', json.dumps('=1+1, "x"\n')),
        (TEMPERATURE, "0.7", "0.2"),
    ]
    assert {(row["version"], row["actor"], row["note"]) for row in found} == {
        (str(version), "bob", 'says "hi",\nthen goes')
    }
    assert {row["document"] for row in found} == {"profile/default"}
    assert out("history", "--csv", "--limit", "1").startswith(
        "id,version,at,actor,note,document,domain,action,path,old,new"
    )
    assert "not both" in run("history", "--csv", "--json").stderr


def test_csv_is_no_program(editor: Editor) -> None:
    """No cell is one that a spreadsheet takes for a formula; an edit that has no field has a row."""
    editor.run("SELECT set_config('hotconfig.actor', '=cmd()', false), set_config('hotconfig.note', '@x', false)")
    editor.publish("-own", '{"+a": {}}')
    (row,) = rows("--limit", "1")
    assert (row["actor"], row["note"], row["document"], row["domain"]) == ("'=cmd()", "'@x", "'-own", "'+a")
    assert (row["path"], row["old"], row["new"]) == ("'+a", "", "")


# ---- diff


def test_diff(editor: Editor) -> None:
    """The newest change, from a version until now, or between two."""
    first = editor.version()
    editor.temperature(0.1)
    editor.tokens(5)
    heading, change = out("diff").splitlines()
    assert heading == f'profile "default": version {first + 1} -> {first + 2}'
    assert change == "    ai_infra.llm_max_tokens: 60000 -> 5"
    assert len(out("diff", str(first)).splitlines()) == 3
    assert out("diff", str(first), str(first + 1)).splitlines()[1:] == ["    ai_infra.llm_temperature: 0.7 -> 0.1"]
    assert out("diff", str(first), str(first)).endswith(f"{first} -> {first}, nothing differs\n")
    assert "no version 99 yet" in refused(1, "diff", "99")


def test_diff_as_json(editor: Editor) -> None:
    """One object, with the whole values."""
    editor.publish("own", '{"a": {"x.y": 1}, "b": 1}')
    version = editor.publish("own", '{"a": {"x.y": [1]}, "b": 1}')
    assert printed("diff", "--document", "own") == {
        "document": "own",
        "old_version": version - 1,
        "version": version,
        "changes": {'a."x.y"': {"old": 1, "new": [1]}},
    }


def test_diff_of_a_text(editor: Editor) -> None:
    """Line by line."""
    editor.run("UPDATE config_prompts SET system_prompt = E'one\\ntwo\\nthree'")
    editor.run("UPDATE config_prompts SET system_prompt = E'one\\nzwei\\nthree'")
    lines = [line.strip() for line in out("diff").splitlines()[1:]]
    assert lines == ["prompts.system_prompt:", "@@ -1,3 +1,3 @@", "one", "-two", "+zwei", "three"]


def test_diff_of_a_beginning_and_an_end(database: str) -> None:
    """A profile that was made differs from nothing, and one that was deleted too."""
    with Admin(database) as admin:
        created = admin.create_profile("b").version
        assert printed("diff", "--profile", "b")["changes"][TEMPERATURE] == {"old": None, "new": 0.7}
        deleted = admin.delete_profile("b").version
    told = printed("diff", "--profile", "b")
    assert (told["old_version"], told["version"]) == (created, deleted)
    assert told["changes"][TEMPERATURE] == {"old": 0.7, "new": None}
    assert "there is no profile 'c': there are 'default'" in refused(1, "diff", "--profile", "c")
