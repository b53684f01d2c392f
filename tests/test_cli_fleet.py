"""fleet: who runs, once and live."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from commands import PROGRAM, out, printed
from conftest import Connect
from editing import Editor
from programs import interrupt, started
from running import straggler
from servers import Server


@pytest.fixture(autouse=True)
def _where(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)


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
    with started([*PROGRAM, "fleet", "--watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
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
    interrupt(watcher)
    _, complaint = watcher.communicate(timeout=20)
    assert (watcher.returncode, complaint) == (0, "")


def test_watch_through_a_restart(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is told once, and it goes on."""
    url = own_server.create_database("app")
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", url)
    command = [*PROGRAM, "fleet", "--watch", "--json"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        own_server.stop()
        assert process.stderr.readline().startswith("warning: cannot use PostgreSQL")
        own_server.start()
        with psycopg.connect(url, application_name="hotconfig:1:web.17:active"):
            while not json.loads(process.stdout.readline())["members"]:
                pass
        interrupt(process)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_watch_on_a_terminal(connect: Connect) -> None:
    """A table that is drawn again in its place."""
    straggler(connect, 1)
    ours, its = pty.openpty()
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with started([*PROGRAM, "fleet", "--watch"], stdin=its, stdout=its, stderr=its, env=environ) as process:
        os.close(its)
        shown = b""
        while shown.count(b"the default profile") < 2:
            shown += os.read(ours, 4096)
        interrupt(process)
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
