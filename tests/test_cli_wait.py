"""wait, and --wait of whatever writes. The readers are processes of their own, which really stop and reject."""

from __future__ import annotations

import inspect
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PROGRAM, out, printed, refused, run
from conftest import Connect
from editing import Editor, eventually
from programs import interrupt, started
from running import Start, named, reader, ready, straggler

from hotconfig import Client, Unavailable
from hotconfig.admin import Admin
from hotconfig.cli import app
from hotconfig.cli.profile import profiles

__all__ = ["reader"]

TEMPERATURE = "ai_infra.llm_temperature"
TYPES = """
import pathlib, sys
file = pathlib.Path(sys.argv[1])
file.write_text(file.read_text().replace("llm_max_tokens: ", "llm_max_tokens: 1"))
"""
WRITES = {  # what each verb may do first, and then
    "set": (f"set {TEMPERATURE}=0.2", f"set {TEMPERATURE}=0.3"),
    "rollback": ("rollback --yes", "rollback --yes"),
    "init": ("init", "init"),
    "edit": ("edit --yes", "edit --yes"),
    "import": ("import config.yaml --yes", "import config.yaml --yes"),
    "create": ("profile create d", "profile create e"),
    "rename": ("profile rename b d", "profile rename d b"),
    "describe": ("profile describe b x", "profile describe b y"),
    "delete": ("profile delete b --yes", "profile delete c --yes"),
    "activate": ("profile activate b", "profile activate default"),
}


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


# ---- --wait


@pytest.mark.timeout(120)  # twenty processes that start
def test_wait_for_a_fleet(reader: Start, editor: Editor) -> None:
    """It is done when all 20 processes have the version, and not while one of them stands still."""
    processes = [reader() for _ in range(20)]
    ready(*processes)
    processes[0].send_signal(signal.SIGSTOP)
    before = editor.version()
    command = [*PROGRAM, "set", f"{TEMPERATURE}=0.2", "--wait", "50"]
    with started(command, stdout=subprocess.PIPE) as writer:
        eventually(lambda: sum(f":{before + 1}:" in name for name in editor.registry()) == 19)
        assert writer.poll() is None
        processes[0].send_signal(signal.SIGCONT)
        assert writer.stdout is not None
        said = writer.stdout.read().splitlines()
    assert writer.returncode == 0
    assert [name.split(":")[1] for name in editor.registry() if name.startswith("hotconfig:")] == [str(before + 1)] * 20
    assert said[0] == f'profile "default": version {before} -> {before + 1}'
    assert said[-1].startswith(f"all 20 running clients have version {before + 1} (")


def test_wait_for_who_stands_still(reader: Start, editor: Editor) -> None:
    """Exit code 3, and the one line of the error names the process; the version is committed."""
    still, well = reader(), reader()
    ready(still, well)
    before = editor.version()
    eventually(lambda: editor.acknowledged(before))  # it announces after it has started
    still.send_signal(signal.SIGSTOP)
    done = run("set", f"{TEMPERATURE}=0.2", "--wait", "1")
    assert (done.exit_code, editor.version()) == (3, before + 1)
    assert done.stdout.startswith(f'profile "default": version {before} -> {before + 1}\n')
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: version {before + 1} is committed, but after ")
    assert f"{named(still)} (the default profile) is at version {before}" in line
    eventually(lambda: f"hotconfig:{before + 1}:{named(well)}:active" in editor.registry())
    assert named(well) not in refused(3, "wait", "--timeout", "0")


def test_wait_for_who_rejects(reader: Start, editor: Editor) -> None:
    """A process whose model is stricter has not got it, and is told apart once it has seen it."""
    calm, plain = reader(calm=True), reader()
    ready(calm, plain)
    done = run("set", f"{TEMPERATURE}=0.9", "--wait", "1", "--json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert told["version"] == editor.version()
    assert calm.pid in [missing["pid"] for missing in told["waited"]["missing"]]
    entries = [f"hotconfig:{editor.version()}{mark}:{named(who)}:active" for who, mark in ((calm, "!"), (plain, ""))]
    eventually(lambda: set(entries) <= set(editor.registry()))

    done = run("set", f"{TEMPERATURE}=0.9", "--wait", "0", "--json")
    (missing,) = json.loads(done.stdout)["waited"]["missing"]
    assert (missing["pid"], missing["document"], missing["rejected"]) == (calm.pid, "active", True)
    failure = json.loads(done.stderr)
    assert failure["error"] == "NotEverywhere"
    assert f"{named(calm)} (the default profile) rejects it" in failure["message"]
    assert failure["hint"].startswith("the log of a process that rejects it says why")
    assert printed("set", f"{TEMPERATURE}=0.3", "--wait", "30")["waited"]["missing"] == []


def test_wait_for_what_is_set(connect: Connect, editor: Editor) -> None:
    """Nothing differs, but the first try may not have come everywhere: the profile's version counts."""
    version = editor.temperature(0.2)
    straggler(connect, version)
    assert editor.publish("own", "{}") == version + 1
    assert "the one running client has version" in out("set", f"{TEMPERATURE}=0.2", "--wait", "0")
    straggler(connect, version - 1)
    assert run("set", f"{TEMPERATURE}=0.2", "--wait", "0").exit_code == 3


@pytest.fixture
def _two_profiles(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Besides the default one; an export, and somebody who types."""
    with Admin(database) as admin:
        admin.create_profile("b")
        admin.create_profile("c")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", TYPES]))
    out("export", "config.yaml")


@pytest.mark.usefixtures("_two_profiles")
@pytest.mark.parametrize("verb", WRITES)
def test_whatever_writes_can_wait(connect: Connect, editor: Editor, verb: str) -> None:
    """0 seconds is one look; a dry run has nothing to wait for."""
    first, second = map(shlex.split, WRITES[verb])
    version = editor.temperature(0.1)
    assert "leave out --wait or --dry-run" in refused(2, *first, "--wait", "5", "--dry-run")
    assert editor.version() == version
    assert "nobody is running" in out(*first, "--wait", "0")
    straggler(connect, 1)
    editor.temperature(0.1)
    done = run(*second, "--wait", "0")
    assert (done.exit_code, "web.17 (the default profile) is at version 1" in done.stderr) == (3, True)


def test_no_verb_is_left_out() -> None:
    """Whatever has --wait is in the test above."""
    commands = [*app.registered_commands, *profiles.registered_commands]
    callbacks = [command.callback for command in commands if command.callback is not None]
    waiting = {each.__name__.rstrip("_") for each in callbacks if "wait" in inspect.signature(each).parameters}
    assert waiting == set(WRITES)


def test_many_who_have_not(connect: Connect) -> None:
    """Ten are named, the others counted; JSON has all."""
    for _ in range(12):
        straggler(connect, 0)
    done = run("wait", "--timeout", "0", "--json")
    assert json.loads(done.stderr)["message"].count("web.17") == 10
    assert "is at version 0, and 2 more" in json.loads(done.stderr)["message"]
    assert len(json.loads(done.stdout)["missing"]) == 12


def test_a_server_that_goes_while_somebody_waits(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed is, whatever hinders to see where."""

    def gone(*_: object, **__: object) -> None:
        raise Unavailable("cannot use PostgreSQL: gone. Next: check that the server runs.")

    monkeypatch.setattr(Admin, "wait_applied", gone)
    done = run("set", f"{TEMPERATURE}=0.2", "--wait", "5", "--json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert (told["version"], told["waited"]["missing"]) == (editor.version(), None)
    assert "is committed, but who has it is not known: cannot use PostgreSQL" in json.loads(done.stderr)["message"]


def test_ctrl_c_while_somebody_waits(connect: Connect, editor: Editor) -> None:
    """It ends the waiting and no more: nobody is told that nothing was changed."""
    straggler(connect, 1)
    command = [*PROGRAM, "set", f"{TEMPERATURE}=0.2", "--wait", "50"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert "llm_temperature" in writer.stdout.readline() + writer.stdout.readline()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%starts_with(application_name%'"
        eventually(lambda: editor.ask(waiting) > 1)  # this one is the other
        interrupt(writer)
        said = writer.stderr.read()
    assert (writer.returncode, "web.17 (the default profile) is at version 1" in said) == (3, True)
    assert "nothing was changed" not in said


# ---- wait


def test_wait(database: str, editor: Editor) -> None:
    """For the newest version, by default, or any older one, made by whomever."""
    with Client(database):
        version = editor.temperature(0.2)
        assert out("wait").startswith(f"the one running client has version {version} (")
        told = printed("wait", str(version - 1), "--timeout", "30")
    assert told.pop("seconds") >= 0
    assert told == {"version": version - 1, "members": 1, "missing": []}


def test_wait_in_vain(connect: Connect, editor: Editor) -> None:
    """Exit code 3, with who has not; a version that nobody made is an error of another kind."""
    straggler(connect, 1)
    version = editor.temperature(0.2)
    assert "web.17 (the default profile) is at version 1. Next: " in refused(3, "wait", "--timeout", "0")
    assert f"there is no version {version + 1} yet" in refused(1, "wait", str(version + 1))
    assert "see `hotconfig wait --help`" in refused(2, "wait", "--timeout", "-1")
