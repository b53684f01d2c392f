"""The command line as a process: its version, its completion, its streams, Ctrl-C, and what it loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import PROGRAM, out, program, refused
from editing import Editor, eventually
from programs import interrupt, started

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


def test_version() -> None:
    """That of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert out("--version") == f"hotconfig {project['version']}\n"


def test_completion() -> None:
    """The script for bash is printed, and what it calls lists the verbs and the options of one."""
    shown = program("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "complete -o default -F _hotconfig_completion hotconfig" in shown.stdout
    for typed, offered in (("hotconfig ro", "rollback"), ("hotconfig history --un", "--until")):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
        assert program(_HOTCONFIG_COMPLETE="complete_bash", **words).stdout.split() == [offered]


@pytest.mark.parametrize(
    ("typed", "meant"), [("get", "show"), ("log", "history"), ("undo", "rollback"), ("sho", "show")]
)
def test_another_word_for_a_verb(typed: str, meant: str) -> None:
    """The right one is suggested."""
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in refused(2, typed)


def test_the_environment_is_in_the_help() -> None:
    """Every variable that says where, what and how, and none that there is not."""
    _, beginning, told = out("--help").partition("The database:")  # below the verbs, which name some of them too
    assert beginning
    assert set(re.findall(r"\b[A-Z_]{5,}\b", told)) == {
        *["HOTCONFIG_DATABASE_URL", "DATABASE_URL", "HOTCONFIG_PROFILE", "HOTCONFIG_SCHEMA", "PGPASSWORD", "PGSSLMODE"],
        *["VISUAL", "EDITOR", "NO_COLOR"],
    }


@pytest.mark.parametrize("arguments", [["history"], ["show"], ["show", "prompts.system_prompt"], ["history", "--csv"]])
def test_a_pipe_that_is_closed_early(arguments: list[str], editor: Editor) -> None:
    """Whoever reads has enough: no error, and no traceback, with little output and with much."""
    for text in ("a", "a" * 200_000):
        editor.run("UPDATE config_prompts SET system_prompt = %s", [text])
        process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
        process.stderr.close()


def test_a_full_disk(editor: Editor) -> None:
    """What is written is written, and the exit code says so though nobody can read it."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PROGRAM, "set", "ai_infra.llm_max_tokens=5"], check=False, stdout=full)
    assert (done.returncode, editor.ask("SELECT llm_max_tokens FROM config_ai_infra")) == (0, 5)


def test_the_exit_code_counts_though_nobody_reads(editor: Editor) -> None:
    """A pipeline with pipefail is told that something is broken."""
    editor.run("ALTER TABLE config_prompts DISABLE TRIGGER USER")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "doctor"], check=False, stdout=writer)
    os.close(writer)
    assert done.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_missing(closed: str, editor: Editor) -> None:
    """What is printed goes nowhere, and not into the connection; what is written is written."""
    command = f"{sys.executable} -m hotconfig set ai_infra.llm_max_tokens=5 {closed}"
    done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert editor.ask("SELECT llm_max_tokens FROM config_ai_infra") == 5


def test_ctrl_c_while_it_is_loaded(tmp_path: Path) -> None:
    """One line and exit code 1."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = program("show", PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: nothing was changed\n")


def test_ctrl_c(editor: Editor) -> None:
    """Of a verb that waits for somebody else: one line, and an exit code that does not say that nothing was saved."""
    editor.run("BEGIN; UPDATE config_ai_infra SET llm_max_tokens = 5")
    command = [*PROGRAM, "set", "ai_infra.llm_max_tokens=6"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: editor.ask("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        interrupt(process)
        said = process.communicate(timeout=20)
    assert said == ("", "error: interrupted. Next: `hotconfig history` shows what was saved.\n")
    assert process.returncode == 130


def test_alembic_is_loaded_late() -> None:
    """Only by the verbs that need it: it would double the time that each of them takes to start."""
    code = "import sys, hotconfig.__main__, hotconfig.cli; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
