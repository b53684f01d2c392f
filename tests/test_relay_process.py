"""`hotconfig relay` as a program: what it prints, how it ends, what it answers to whoever watches it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from commands import PROGRAM, out, printed, refused
from editing import Editor, eventually
from nats_servers import Nats
from programs import interrupt, started
from servers import free_port
from test_cli_errors import VERBS

from hotconfig import Client


@pytest.fixture
def to(nats_server: Nats, database_name: str) -> Iterator[str]:
    """A bucket that a relay is to make."""
    yield f"{nats_server.url}/{database_name}"
    nats_server.delete(database_name)


@contextmanager
def relaying(database: str, to: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The program, ended by the test or killed."""
    command = [*PROGRAM, "relay", "--database", database, "--to", to, *more]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        yield process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def asked(port: int) -> tuple[int, dict[str, object]]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/whatever") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_relays_until_it_is_told_to_end(number: signal.Signals, database: str, to: str, editor: Editor) -> None:
    """It says from where, to where and what; a signal ends it with code 0, and its session; the bucket serves on."""
    with relaying(database, to) as process:
        assert line(process).endswith(f" to {to}, until Ctrl-C\n")
        assert line(process) == "version 1: 2 documents are there\n"
        with Client(to) as client:
            assert client.wait_for(editor.temperature(0.1)).ai_infra.llm_temperature == 0.1
            interrupt(process, number)
            assert process.communicate(timeout=20) == ("", "")
            assert process.returncode == 0
            eventually(lambda: editor.readers() == [])
            assert client.status().healthy


def test_json(database: str, to: str, editor: Editor) -> None:
    """A line of JSON for each version: as the endpoint of its health answers."""
    with relaying(database, to, "--json") as process:
        first = json.loads(line(process))
        assert (first["healthy"], first["version"], first["relayed"], first["behind"]) == (True, 1, 1, 0)
        editor.temperature(0.1)
        assert json.loads(line(process))["version"] == 2
        process.terminate()
    assert process.returncode == 0


def test_its_health(database: str, to: str, editor: Editor) -> None:
    """200 when all is relayed; 503 when it is not, with what is wrong and no password; GET alone."""
    port = free_port()
    with relaying(database, to, "--health", f"127.0.0.1:{port}") as process:
        line(process)
        line(process)
        status, said = asked(port)
        assert (status, said["healthy"], said["version"], said["behind"], said["error"]) == (200, True, 1, 0, None)

        editor.run("ALTER TABLE config_state RENAME TO config_state_")
        editor.terminate()

        eventually(lambda: "run `hotconfig migrate`" in str(asked(port)[1]["error"]))
        assert asked(port)[0] == 503
        editor.run("ALTER TABLE config_state_ RENAME TO config_state")
        eventually(lambda: asked(port)[0] == 200)
        process.terminate()
        assert "run `hotconfig migrate`" in process.communicate(timeout=20)[1]
    assert process.returncode == 0


def test_a_port_that_is_taken(database: str, nats_server: Nats) -> None:
    """It says so and ends, rather than run without."""
    port = nats_server.ports[0]
    told = refused(1, "relay", "--database", database, "--to", nats_server.url, "--health", f"127.0.0.1:{port}")
    assert "in use" in told


def test_it_is_in_the_fleet(database: str, to: str, editor: Editor) -> None:
    """`hotconfig fleet` shows it and what it has, `hotconfig wait` waits for it."""
    with relaying(database, to) as process:
        line(process)
        line(process)
        version = editor.temperature(0.1)
        out("wait", str(version), "--database", database)
        (member,) = printed("fleet", "--database", database)["members"]
        assert (member["pid"], member["document"], member["version"], member["behind"]) == (
            process.pid,
            "(relay)",
            version,
            0,
        )
        process.terminate()
    assert process.returncode == 0


def test_before_there_is_a_database(to: str) -> None:
    """It waits for what it needs, says what that is once, and goes on by itself."""
    with relaying("postgresql://127.0.0.1:1/nowhere", to) as process:
        line(process)
        assert process.stderr is not None
        assert "Next: check that the server runs" in process.stderr.readline()
        process.terminate()
    assert process.returncode == 0


def test_its_example(database: str, nats_server: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one at the end of its help, but for the host and port, works as it stands."""
    example = (VERBS["relay"].epilog or "").removeprefix("Example: ")
    assert " ".join(example.split()) in " ".join(out("relay", "--help").split())
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    here = example.replace("nats://host:4222", nats_server.url).replace("8080", str(free_port()))
    with started([*PROGRAM, *shlex.split(here)[1:]], stdout=subprocess.PIPE) as process:
        line(process)
        assert "2 documents are there" in line(process)
        process.terminate()
    assert process.returncode == 0
    nats_server.delete("hotconfig")
