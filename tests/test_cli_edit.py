"""edit: the editor is a program of the test's; what was typed is saved, or it is in a file that is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import PROGRAM, out, printed, program, refused, run
from editing import Editor
from typist import TEMPERATURE, WARMER, Types, kept, left, types, where

__all__ = ["types", "where"]  # fixtures


def test_edit(types: Types, editor: Editor, tmp_path: Path) -> None:
    """What differs is one version and is shown, prompts line by line; nothing is left behind."""
    types(WARMER + ";save(file.read_text().replace('Find out first', 'Find out'))")
    version = editor.version()
    assert out("edit", "--yes", "--by", "alice", "--note", "calm").splitlines() == [
        f"    {TEMPERATURE}: 0.7 -> 0.2",
        "    prompts.system_prompt:",
        "        @@ -1,6 +1,6 @@",
        "         You are a data analyst who answers a question with a deck of HTML slides.",
        "         ",
        "        -Find out first, then write:",
        "        +Find out, then write:",
        "         1. Break the question into the figures you need.",
        *(f"         {line}" for line in printed("show", "prompts.system_prompt")["value"].split("\n")[4:6]),
        f'profile "default": version {version} -> {version + 1}',
    ]
    edits = [json.loads(line) for line in out("history", "--limit", "1", "--json").splitlines()]
    assert {(edit["version"], edit["actor"], edit["note"]) for edit in edits} == {(version + 1, "alice", "calm")}
    assert [list(edit["changes"]) for edit in edits] == [["system_prompt"], ["llm_temperature"]]
    assert left(tmp_path) == []


@pytest.mark.parametrize("code", ["", "save(text + '# more')", "file.unlink(); save(text.replace('0.7', '0.70'))"])
def test_nothing_differs(types: Types, editor: Editor, tmp_path: Path, code: str) -> None:
    """That is no failure, and no version."""
    types(code)
    version = editor.version()
    assert out("edit", "--yes") == f'profile "default": version {version}, nothing differs\n'
    assert printed("edit", "--yes")["edits"] == []
    assert (editor.version(), left(tmp_path)) == (version, [])


def test_the_file(types: Types, editor: Editor, tmp_path: Path) -> None:
    """It says which profile at which version, who changed it last, and the rule of each field; it is private."""
    out("set", f"{TEMPERATURE}=0.5", "--by", "alice", "--note", "a\rnote")
    types(f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(oct(file.stat().st_mode) + text)")
    out("edit", "--yes")
    seen = (tmp_path / "seen").read_text()
    mode, first, *lines = seen.partition("#")[0], *seen.splitlines()
    assert mode == "0o100600"
    assert first.endswith(": a note")
    assert f'# profile "default" at version {editor.version()}, by alice on 2' in first
    at = lines.index("  llm_temperature: 0.5")
    assert lines[at - 1] == "  # at most two decimal places (number, at least 0, at most 1)"
    assert "  # its serving endpoint; not blank (text, at most 255 characters)" in lines
    assert "  user_prompt_template: |-" in lines


@pytest.mark.parametrize(
    "text",
    [
        "a \n b\n\n",
        " a: b\n\t# no comment",
        "\r\nÜ 😀 |\r\n  x\r\n",
        "\n\n",
        "a\n   ",
        "---\n...\n",
        "\x0b{q}\x85\u2028",
    ],
)
def test_values_come_back_exactly(types: Types, editor: Editor, text: str) -> None:
    """Whatever a prompt holds, to be saved with another change is to be saved as it was."""
    out("set", f"prompts.system_prompt=@@{text}", f"genie.description=@@{text}")
    types(WARMER)
    told = printed("edit", "--yes")
    assert [edit["domain"] for edit in told["edits"]] == ["ai_infra"]


def test_which_profile(types: Types) -> None:
    """--profile, and the one that was read even if another one becomes the default meanwhile."""
    out("profile", "create", "b")
    types(WARMER)
    assert 'profile "b": version' in out("edit", "--profile", "b", "--yes")
    activate = [*PROGRAM, "profile", "activate", "b"]
    types(f"import subprocess; subprocess.run({activate}, stdout=2); " + WARMER)
    assert 'document "profile/default" is at version' in run("edit", "--yes").stderr


def test_an_incomplete_profile(types: Types, editor: Editor) -> None:
    """What is missing is null, and can be filled in."""
    out("profile", "create", "half")
    editor.run("DELETE FROM config_mlflow USING config_profiles p WHERE profile_id = p.id AND name = 'half'")
    types(WARMER)
    assert re.search(r"line \d+: mlflow.experiment_name: ", refused(1, "edit", "--yes", "--profile", "half"))
    types("save(text.replace('experiment_name: null', 'experiment_name: /there'))")
    assert "mlflow.experiment_name: nothing -> " in out("edit", "--yes", "--profile", "half")


# ---- what cannot be saved


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "llm_temperature: 0.7",
            "llm_temperature: 1.5",
            f"{TEMPERATURE} = 1.5: Input should be less than or equal to 1",
        ),
        ("llm_temperature: 0.7", 'llm_temperature: "0.5"', "valid number"),
        ("llm_temperature: 0.7", "llm_temperature: 2026-01-01", "valid number"),
        ("llm_temperature: 0.7", "llm_temperature: [0.5]", "valid number"),
        ("llm_temperature: 0.7", "heat: 0.7", "ai_infra.heat is no setting: there are profile.description"),
        ("llm_temperature: 0.7", "llm_temperature: 0.7\n  llm_temperature: 0.2", "is there twice, before in line"),
        ("llm_temperature: 0.7", "\tllm_temperature: 0.7", "indent with blanks, not with tabs"),
        ("llm_temperature: 0.7", "llm_temperature: !!python/name:os.system", "python/name:os.system does not fit"),
        ("llm_temperature: 0.7", "llm_temperature: *no", "no YAML: "),
        ("llm_temperature: 0.7", "llm_temperature: !!int x", "the tag tag:yaml.org,2002:int does not fit"),
        ("llm_temperature: 0.7", "llm_temperature: 0.7\x07", "it must not hold U+0007, write it as an escape"),
        ("{question}\n", "no\n", 'prompts.user_prompt_template = "no": must contain {question}'),
        ("profile:\n", "profile:\n  name: x\n", "rename the profile instead"),
        ("profile:\n", "more:\n  a: 1\nprofile:\n", "more is no part of a profile"),
        ("mlflow:\n", "mlflow: 1\nx:\n", "mlflow has no settings below it"),
    ],
)
def test_refused(types: Types, editor: Editor, old: str, new: str, told: str) -> None:
    """The line names the field, the value and the rule, and the line of the file, which is kept."""
    types(f"save(text.replace({old!r}, {new!r}))")
    version = editor.version()
    line = refused(1, "edit", "--yes")
    assert told in line
    number = re.search(r"line (\d+): ", line)
    assert number, line
    text = kept(line).read_bytes().decode()
    assert new in text
    assert abs(text[: text.index(new)].count("\n") + 1 - int(number[1])) <= 1
    assert editor.version() == version


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "save(text.replace('  llm_temperature: 0.7\\n', ''))",
            f"{TEMPERATURE} is missing: a setting cannot be removed",
        ),
        ("save('')", "the profile's settings are not there any more"),
        ("file.write_bytes(b'\\xff')", "not UTF-8 text"),
        ("save('{a: ' * 9999)", "nested too deeply"),
        ("save('[' * 9999)", "nested too deeply"),
        ("save('a: 1\\n---\\nb: 1\\n')", "no YAML: "),
    ],
)
def test_what_is_no_profile(types: Types, code: str, told: str) -> None:
    """It is refused and kept."""
    types(code)
    line = refused(1, "edit", "--yes")
    assert told in line
    assert kept(line).exists()


def test_what_the_database_refuses(types: Types) -> None:
    """It is kept, too."""
    types("save(text.replace('Databricks usage data space', 'a\\\\0b'))")
    done = run("edit", "--yes")
    assert (done.exit_code, "NUL" in done.stderr) == (1, True)
    assert "a\\0b" in kept(done.stderr).read_text()


def test_an_editor_that_fails(types: Types, tmp_path: Path) -> None:
    """Nothing is saved; what was typed is kept, if anything was."""
    types("sys.exit(3)")
    assert "ended with exit code 3" in refused(1, "edit", "--yes")
    assert left(tmp_path) == []
    types(f"{WARMER}; os.kill(os.getpid(), 9)")
    line = refused(1, "edit", "--yes")
    assert "ended with signal 9" in line
    assert "llm_temperature: 0.2" in kept(line).read_text()
    types("file.with_name('.profile.yaml.swp').write_text('typed'); os.kill(os.getpid(), 9)")
    swap = Path(refused(1, "edit", "--yes").rpartition(" ")[2].rstrip("."))
    assert swap.read_text() == "typed"
    types("file.unlink()")
    assert "the editor left no file" in refused(1, "edit", "--yes")
    assert out("show", TEMPERATURE) == "0.7\n"


def test_which_editor(types: Types, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$VISUAL, else $EDITOR; what is not there is named, and so is that there is none."""
    monkeypatch.setenv("VISUAL", types(WARMER))
    monkeypatch.setenv("EDITOR", "false")
    assert f"{TEMPERATURE}: 0.7 -> 0.2" in out("edit", "--yes")
    monkeypatch.setenv("VISUAL", " ")
    monkeypatch.setenv("EDITOR", "/no/such --editor")
    assert "the editor /no/such --editor cannot be started: No such file" in refused(1, "edit", "--yes")
    monkeypatch.setenv("EDITOR", "'")
    assert "EDITOR: No closing quotation" in refused(2, "edit", "--yes")
    monkeypatch.delenv("EDITOR")
    assert "there is no editor. Next: set EDITOR" in refused(1, "edit", "--yes")
    assert left(tmp_path) == []


def test_nobody_to_be_asked(types: Types, editor: Editor) -> None:
    """--yes or --dry-run is needed; a dry run shows all, saves nothing and keeps the text; JSON is one object."""
    types(WARMER + "; print('editing')")
    version = editor.version()
    assert "add --yes" in refused(2, "edit")
    done = program("edit", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"version {version} -> {version + 1}, dry run: nothing was saved" in done.stdout
    assert "llm_temperature: 0.2" in kept(done.stdout).read_text()
    assert editor.version() == version
    done = program("edit", "--yes", "--json")
    assert json.loads(done.stdout)["version"] == version + 1
    assert done.stderr == "editing\n"
