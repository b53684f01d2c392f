"""fleet, wait, and --wait of whatever writes. The readers are processes of their own, which really stop and reject."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from commands import PROGRAM, out, printed, refused, run
from conftest import Connect
from editing import Editor, eventually
from running import Start, named, reader, ready
from servers import Server

from hotconfig import Client, Unavailable
from hotconfig.admin import Admin

__all__ = ["reader"]

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


def straggler(connect: Connect, version: int) -> None:
    """A session that says for ever that it has seen this version."""
    connect(application_name=f"hotconfig:{version}:web.17:active")


# ---- --wait


def test_wait_for_a_fleet(reader: Start, editor: Editor) -> None:
    """It is done when all 20 clients of 4 processes have the version, and not while one process stands still."""
    processes = [reader(clients=5) for _ in range(4)]
    ready(*processes)
    processes[0].send_signal(signal.SIGSTOP)
    before = editor.version()
    command = [*PROGRAM, "set", f"{TEMPERATURE}=0.2", "--wait", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        eventually(lambda: sum(f":{before + 1}:" in name for name in editor.registry()) == 15)
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


@pytest.mark.parametrize("verb", [("set", f"{TEMPERATURE}=0.2"), ("rollback", "--yes"), ("init",)])
def test_whatever_writes_can_wait(connect: Connect, editor: Editor, verb: tuple[str, ...]) -> None:
    """0 seconds is one look; a dry run has nothing to wait for."""
    editor.temperature(0.1)
    assert "nobody is running" in out(*verb, "--wait", "0")
    straggler(connect, 1)
    editor.temperature(0.1)
    done = run(*verb, "--wait", "0")
    assert (done.exit_code, "web.17 (the default profile) is at version 1" in done.stderr) == (3, True)
    version = editor.version()
    assert "leave out --wait or --dry-run" in refused(2, *verb, "--wait", "5", "--dry-run")
    assert editor.version() == version


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
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert "llm_temperature" in writer.stdout.readline() + writer.stdout.readline()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%starts_with(application_name%'"
        eventually(lambda: editor.ask(waiting) > 1)  # this one is the other
        writer.send_signal(signal.SIGINT)
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


# ---- fleet


def test_fleet(connect: Connect, editor: Editor) -> None:
    """A line for each client; those that lack something come first."""
    assert out("fleet") == "no client is running\n"
    assert printed("fleet") == {"members": []}
    version = editor.version()
    for entry in (f"{version}:a.1:active", f"{version}!:b.2:own", f"{version - 1}:web:profile/x"):
        connect(application_name=f"hotconfig:{entry}")
    heading, *lines = out("fleet").splitlines()
    assert heading.split() == ["host", "pid", "follows", "version", "behind"]
    assert [" ".join(line.split()) for line in lines] == [
        f'b 2 document "own" {version} 0 rejected',
        f'web profile "x" {version - 1} 1',
        f"a 1 the default profile {version} 0",
    ]
    first = printed("fleet")["members"][0]
    assert first == {"host": "a", "pid": 1, "document": "active", "version": version, "rejected": False, "behind": 0}


@pytest.fixture
def watcher() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*PROGRAM, "fleet", "--watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_watch_as_json(watcher: subprocess.Popen[str], connect: Connect) -> None:
    """An object for each look, until Ctrl-C."""
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline()) == {"members": []}
    straggler(connect, 1)
    while not (told := json.loads(watcher.stdout.readline())["members"]):
        pass
    assert told[0]["host"] == "web"
    watcher.send_signal(signal.SIGINT)
    _, complaint = watcher.communicate(timeout=20)
    assert (watcher.returncode, complaint) == (0, "")


def test_watch_through_a_restart(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is told once, and it goes on."""
    url = own_server.create_database("app")
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", url)
    command = [*PROGRAM, "fleet", "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        own_server.stop()
        assert process.stderr.readline().startswith("warning: cannot use PostgreSQL")
        own_server.start()
        with psycopg.connect(url, application_name="hotconfig:1:web.17:active"):
            while not json.loads(process.stdout.readline())["members"]:
                pass
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_watch_on_a_terminal(connect: Connect) -> None:
    """A table that is drawn again in its place."""
    straggler(connect, 1)
    ours, its = pty.openpty()
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen([*PROGRAM, "fleet", "--watch"], stdin=its, stdout=its, stderr=its, env=environ) as process:
        os.close(its)
        shown = b""
        while shown.count(b"the default profile") < 2:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[1A" in shown  # one line up
    assert b"Traceback" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way to say that the other side is closed
        return b""
