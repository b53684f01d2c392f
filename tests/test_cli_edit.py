"""edit: the editor is a program of the test's; what was typed is saved, or it is in a file that is named."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from commands import PROGRAM, on_a_terminal, out, printed, program, refused, run
from editing import Editor, eventually
from programs import started
from proxy import Proxy

from hotconfig.cli import app

TEMPERATURE = "ai_infra.llm_temperature"


class Types(Protocol):
    def __call__(self, code: str) -> str: ...


@pytest.fixture(autouse=True)
def _where(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "true")


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """Make somebody type: code with the `file`, its `text` and `save(text)`; how often it was opened is `opened`."""

    def types(code: str) -> str:
        script = tmp_path / "editor.py"
        count = tmp_path / "opened"
        script.write_text(
            "import os, pathlib, sys, time\n"
            "file = pathlib.Path(sys.argv[1])\n"
            "text = file.read_bytes().decode()\n"
            "save = lambda text: file.write_bytes(text.encode())\n"
            f"count = pathlib.Path({str(count)!r})\n"
            "opened = len(count.read_text()) + 1 if count.exists() else 1\n"
            "count.write_text('x' * opened)\n" + code + "\n"
        )
        command = shlex.join([sys.executable, str(script)])
        monkeypatch.setenv("EDITOR", command)
        return command

    return types


WARMER = "save(text.replace('llm_temperature: 0.7', 'llm_temperature: 0.2'))"
WRONG = "save(text.replace('llm_temperature: 0.7', 'llm_temperature: 1.5'))"


def kept(told: str) -> Path:
    """The file that is named, which nobody else can read."""
    found = re.search(r"What you typed is in (\S+?/profile\.yaml)", told)
    assert found, told
    file = Path(found[1])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    return file


def left(directory: Path) -> list[Path]:
    return list(directory.glob("hotconfig-edit-*"))


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


# ---- others


def test_two_at_once(types: Types, editor: Editor, tmp_path: Path) -> None:
    """The second one exits with 4, sees the change of the first, and its text is in a file that is named."""
    version = editor.version()
    go = tmp_path / "go"
    wait = f"\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    types(f"{WARMER}{wait}")
    command = [*PROGRAM, "edit", "--yes", "--by"]
    with started([*command, "bob"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as second:
        eventually((tmp_path / "opened").exists)
        assert not editor.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hotconfig-admin'")
        types("save(text.replace('Find out first', 'Find out').replace('llm_max_tokens: 60000', 'llm_max_tokens: 5'))")
        assert program(*command[3:], "alice").returncode == 0
        go.touch()
        shown, told = second.communicate(timeout=50)
    assert second.returncode == 4
    theirs = shown.partition("Somebody else was faster, and changed:")[2]
    assert "ai_infra.llm_max_tokens: 60000 -> 5" in theirs
    assert "        -Find out first, then write:\n        +Find out, then write:\n" in theirs
    assert "llm_temperature" not in theirs
    assert f"is at version {version + 1}, not at {version}" in told
    assert "by alice" in told
    assert "llm_temperature: 0.2" in kept(told).read_text()
    assert out("show", TEMPERATURE) == "0.7\n"


def test_expected_version(types: Types, tmp_path: Path, editor: Editor) -> None:
    """Another one is a conflict before anything is typed."""
    version = editor.temperature(0.1)
    assert f"is at version {version}, not at {version - 1}" in refused(
        4, "edit", "--yes", "--expect-version", str(version - 1)
    )
    types("save(text.replace('llm_temperature: 0.1', 'llm_temperature: 0.2'))")
    assert out("edit", "--yes", "--expect-version", str(version))


def test_a_profile_that_goes_meanwhile(types: Types) -> None:
    """The text is kept."""
    out("profile", "create", "b")
    delete = [*PROGRAM, "profile", "delete", "b", "--yes"]
    types(f"import subprocess; subprocess.run({delete}, stdout=2); {WARMER}")
    done = run("edit", "--yes", "--profile", "b")
    assert done.exit_code == 1
    assert "there is no profile 'b'" in done.stderr
    assert "llm_temperature: 0.2" in kept(done.stderr).read_text()


def test_a_connection_that_fails(types: Types, through: str, proxy: Proxy, tmp_path: Path) -> None:
    """At saving, after the text was typed: it is kept."""
    go = tmp_path / "go"
    types(f"{WARMER}\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)")
    with started([*PROGRAM, "edit", "--yes", "--json", "--database", through], stderr=subprocess.PIPE) as process:
        eventually((tmp_path / "opened").exists)
        proxy.refuse()
        go.touch()
        _, told = process.communicate(timeout=50)
    assert process.returncode == 1
    failure = json.loads(told)
    assert (failure["error"], failure["hint"]) == (
        "Unavailable",
        "check that the server runs and can be reached from here",
    )
    assert "llm_temperature: 0.2" in kept(failure["message"]).read_text()


# ---- on a terminal


def test_the_example(types: Types) -> None:
    """The one in the help works as it stands, on a terminal."""
    (verb,) = [command for command in app.registered_commands if command.callback.__name__ == "edit"]  # type: ignore[union-attr]
    example = (verb.epilog or "").removeprefix("Example: ")
    assert " ".join(example.split()) in " ".join(out("edit", "--help").split())
    types(WARMER)
    code, shown = on_a_terminal(*shlex.split(example)[1:], typed="y\n")
    before, _, after = shown.partition("Save?")
    assert (code, "0.7" in before, "0.2" in before) == (0, True, True), shown
    assert 'profile "default": version' in after
    assert json.loads(out("history", "--limit", "1", "--json"))["note"] == "shorter answers"


@pytest.mark.parametrize(("typed", "interrupted_at"), [("n\n", ""), ("\x04", ""), ("", "Save?")])
def test_a_text_that_is_not_saved(types: Types, typed: str, interrupted_at: str) -> None:
    """No, no answer, or Ctrl-C: nothing was changed, and the text is kept."""
    types(WARMER)
    code, shown = on_a_terminal("edit", typed=typed, interrupted_at=interrupted_at)
    assert (code, "nothing was changed" in shown) == (1, True), shown
    assert "llm_temperature: 0.2" in kept(shown).read_text()
    assert out("show", TEMPERATURE) == "0.7\n"


def test_edit_again(types: Types, tmp_path: Path) -> None:
    """What was typed is there again when the editor opens for the second time."""
    types(f"if opened == 1: {WRONG}\nelse: save(text.replace('1.5', '0.2'))")
    code, shown = on_a_terminal("edit", typed="\ny\n")
    assert (code, "less than or equal to 1" in shown.partition("Edit again?")[0]) == (0, True), shown
    assert out("show", TEMPERATURE) == "0.2\n"
    assert left(tmp_path) == []


def test_not_to_edit_again(types: Types) -> None:
    """The text is kept."""
    types(WRONG)
    code, shown = on_a_terminal("edit", typed="n\n")
    assert code == 1
    assert "llm_temperature: 1.5" in kept(shown).read_text()


def test_ctrl_c_in_the_editor(types: Types, tmp_path: Path) -> None:
    """It is the editor's, which may go on."""
    types(
        "import signal\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"  # not ignored
        f"os.kill(os.getppid(), signal.SIGINT)\n{WARMER}"
    )
    code, shown = on_a_terminal("edit", "--yes")
    assert (code, out("show", TEMPERATURE)) == (0, "0.2\n"), shown
