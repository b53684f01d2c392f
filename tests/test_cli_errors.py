"""How the command line fails: one line and an exit code. And that its help tells the truth."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from commands import PROGRAM, on_a_terminal, out, program, refused, run
from editing import Editor
from programs import started
from servers import Server

from hotconfig.cli import app

NOWHERE = "postgresql://user:s3cret@127.0.0.1:1/x"
VERBS = {command.name or getattr(command.callback, "__name__", ""): command for command in app.registered_commands}
NEEDS_A_SERVER = {
    "init": (),
    "show": (),
    "set": ("genie.space_name=x",),
    "profiles": (),
    "export": (),
    "history": (),
    "diff": (),
    "watch": (),
    "wait": (),
    "fleet": (),
    "migrate": (),
    "rollback": ("--yes",),
    "edit": ("--yes",),
    "profile": ("describe", "default", "x"),
}


def test_the_verbs() -> None:
    """In the order in which somebody meets them."""
    assert list(VERBS) == [
        *["demo", "dev", "migrate", "init", "show", "profiles", "history", "diff", "set", "rollback", "edit"],
        *["export", "import", "watch", "wait", "fleet", "relay", "doctor", "adopt"],
    ]


@pytest.mark.parametrize("verb", NEEDS_A_SERVER)
def test_unreachable(verb: str) -> None:
    """One line with the next step, exit code 1, no password; the same as JSON."""
    arguments = [verb, *NEEDS_A_SERVER[verb], "--database", NOWHERE]
    line = refused(1, *arguments)
    assert "Next: check that the server runs" in line
    done = run(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    told = json.loads(done.stderr)
    assert (told["error"], told["hint"]) == ("Unavailable", "check that the server runs and can be reached from here")
    assert set(told) == {"error", "message", "hint"}
    assert "s3cret" not in line + done.stderr


@pytest.mark.parametrize("verb", [verb for verb in NEEDS_A_SERVER if verb != "migrate"])
def test_not_migrated(verb: str, server: Server) -> None:
    """It names the command that mends it."""
    arguments = [verb, *NEEDS_A_SERVER[verb], "--database", server.url("postgres")]
    assert "run `hotconfig migrate`" in refused(1, *arguments)
    assert json.loads(run(*arguments, "--json").stderr)["hint"] == "run `hotconfig migrate`"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["frob"], "No such command 'frob'"),
        (["show", "--frob"], "No such option: --frob"),
        (["show", "a", "b"], "unexpected extra argument"),
        (["show", "--database", "mysql://x"], "mysql:// is no address of PostgreSQL"),
        (["show", "--schema", ""], "schema is empty"),
        (["history", "--limit", "0"], "greater than or equal to 1"),
    ],
)
def test_usage(arguments: list[str], told: str) -> None:
    """Exit code 2, and where the help is; the same as JSON."""
    line = refused(2, *arguments)
    assert told in line
    assert "--help`" in line
    done = run(*arguments, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stderr)["error"] == "UsageError"


def test_a_malformed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, not its password."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:s3@cret@h/d")
    line = refused(2, "show")
    assert line.startswith("DATABASE_URL: ")
    assert "cret" not in line


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"demo", "dev", "edit", "relay", "watch"}))
def test_examples(verb: str, database: str, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example at the end of a verb's help works as it stands."""
    editor.run("CREATE TABLE settings (key text PRIMARY KEY, value jsonb)")  # of one's own, to be adopted
    example = (VERBS[verb].epilog or "").removeprefix("Example: ")
    assert " ".join(example.split()) in " ".join(out(verb, "--help").split())
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.chdir(tmp_path)
    if verb == "import":
        out("export", "config.yaml")
    first, *arguments = shlex.split(example)
    assert (first, arguments[0]) == ("hotconfig", verb)
    assert out(*arguments)


def test_the_example_of_watch(database: str, editor: Editor) -> None:
    """It does not end by itself: its first line is enough, and closing the pipe is no error."""
    command = (VERBS["watch"].epilog or "").removeprefix("Example: hotconfig ")
    editor.temperature(0.2)
    with started(
        [*PROGRAM, *shlex.split(command), "--database", database],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["domain"] == "ai_infra"
        process.stdout.close()
        editor.temperature(0.3)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_help() -> None:
    """Without arguments it is shown; -h is --help."""
    assert out() == out("--help") == out("-h")
    assert "watch" in out()


def test_a_process_of_its_own(database: str, editor: Editor) -> None:
    """Exit codes, streams and the lack of colours are the same in a real process; no traceback."""
    where = {"HOTCONFIG_DATABASE_URL": database}
    version = editor.version()
    done = program("set", "ai_infra.llm_temperature=0.2", **where)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f'profile "default": version {version} -> {version + 1}\n')
    assert "\x1b[" not in done.stdout
    for code, arguments in (
        (1, ["set", "ai_infra.llm_temperature=9"]),
        (1, ["show", "--database", NOWHERE]),
        (2, ["set"]),
        (4, ["set", "ai_infra.llm_temperature=0.3", "--expect-version", "1"]),
    ):
        done = program(*arguments, **where)
        assert (done.returncode, done.stdout) == (code, "")
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")


def test_a_terminal_without_utf_8(database: str, editor: Editor) -> None:
    """What it cannot show is escaped."""
    editor.run("UPDATE config_profiles SET description = 'Grüße …'")
    environ = {"HOTCONFIG_DATABASE_URL": database, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = program("show", "profile.description", **environ)
    assert (done.returncode, done.stdout) == (0, "Gr\\xfc\\xdfe \\u2026\n")
    done = program("show", "profile.description", "--json", **environ)
    assert (done.returncode, json.loads(done.stdout)["value"]) == (0, "Grüße …")


def test_an_error_on_a_terminal() -> None:
    """It is one coloured line."""
    code, shown = on_a_terminal("show", "--database", NOWHERE)
    assert code == 1
    assert shown.count("\n") == 1
    assert "\x1b[" in shown
