"""edit beside others, and on a terminal: what was typed is saved, or it is in a file that is named."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from commands import PROGRAM, on_a_terminal, out, program, refused, run
from editing import Editor, eventually
from programs import started
from proxy import Proxy
from typist import TEMPERATURE, WARMER, WRONG, Types, kept, left, types, where

from hotconfig.cli import app

__all__ = ["types", "where"]  # fixtures


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
