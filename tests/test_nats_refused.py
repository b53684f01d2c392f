"""What nats:// cannot be used for, and what is said where the vendor's client or a newer server is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import nats_servers
import pytest
from commands import refused, run

from hotconfig import Client, Unavailable, migrations
from hotconfig.admin import Admin
from hotconfig.cli import app

DEBIAN = Path("/usr/sbin/nats-server")
NATS = "nats://user:s3cret@127.0.0.1:1/x"
TOLD = "nats://127.0.0.1:1/x is for clients that read; what edits, looks back or migrates needs PostgreSQL"
VERBS = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
VERBS |= {group.name for group in app.registered_groups if group.name}
ARGUMENTS = {
    "set": ["genie.space_name=x"],
    "adopt": ["settings", "--publishes", "own"],
    "rollback": ["--yes"],
    "edit": ["--yes"],
    "profile": ["describe", "default", "x"],
    "import": ["config.yaml", "--yes"],
}


@pytest.mark.parametrize("verb", sorted(VERBS - {"demo", "dev", "relay"}))  # demo and dev take no database
def test_no_verb_reads_nats(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says in one line that it needs PostgreSQL, and how to name it; never the password."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("hotconfig: 1\nprofiles: {}\n")
    arguments = [verb, *ARGUMENTS.get(verb, []), "--database", NATS]
    done = run(*arguments)
    said = done.stdout + done.stderr
    assert TOLD in " ".join(said.split())
    assert "give its address (--database" in " ".join(said.split())
    assert done.exit_code == 1
    assert "s3cret" not in said


def test_the_relay_reads_postgresql(tmp_path: Path) -> None:
    """It fills a bucket, and is not fed by one; and what it fills is no PostgreSQL."""
    assert "--to is an address of NATS" in refused(
        2, "relay", "--to", "postgresql://h/d", "--database", "postgresql://h/d"
    )
    told = refused(2, "relay", "--to", "nats://127.0.0.1:1/y", "--database", NATS)
    assert "what is relayed is in PostgreSQL, and nats://127.0.0.1:1/x (from the argument) is not" in told
    assert "--health is HOST:PORT" in refused(
        2, "relay", "--to", "nats://h", "--health", "8080", "--database", "host=h"
    )


def test_nothing_is_written_there() -> None:
    """Neither Admin nor the migrations take it."""
    with Admin(NATS) as admin, pytest.raises(Unavailable, match=TOLD):
        admin.profiles()
    for act in (migrations.upgrade, migrations.downgrade):
        with pytest.raises(Unavailable, match=TOLD):
            act(NATS)


WITHOUT = """
import sys
import textwrap
sys.modules["nats"] = None
import hotconfig
try:
    hotconfig.Client("nats://127.0.0.1:1/x").start()
except hotconfig.MissingExtra as error:
    print(error)
from hotconfig.__main__ import main
sys.argv = ["hotconfig", "relay", "--json", "--database", "host=h", "--to", "nats://127.0.0.1:1/x"]
main()
"""


def test_without_the_vendor_s_client() -> None:
    """The package that is missing is named, by a client and by the relay; the import of hotconfig needs none."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert done.stdout == 'nats:// needs an extra. Next: pip install "hotconfig[nats]".\n'
    told = json.loads(done.stderr)
    assert (told["error"], told["hint"]) == ("MissingExtra", 'pip install "hotconfig[nats]"')


@pytest.mark.skipif(not DEBIAN.exists(), reason="no older server here: apt-get install nats-server")
def test_an_older_server() -> None:
    """One that cannot answer for several keys at once is refused, with the version that is needed."""
    with nats_servers.stopped() as server:
        server.program = DEBIAN
        server.start()
        with pytest.raises(
            Unavailable, match=r"is NATS 2\.\d+\.\d+; 2\.11 or later is needed. Next: use a newer server"
        ):
            Client(server.url).start()


def test_a_bucket_that_is_not_there(nats_server: nats_servers.Nats) -> None:
    """The relay is named, which makes it."""
    with pytest.raises(Unavailable, match="there is no bucket never: start `hotconfig relay`"):
        Client(f"{nats_server.url}/never").start()


def test_no_server() -> None:
    """Each is named with what it answered; a start leaves nothing behind."""
    client = Client("nats://127.0.0.1:1,127.0.0.1:2/x")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:[12]: .*; 127\.0\.0\.1:[12]: .*Next: check that"):
        client.start()
    assert client.status().state == "new"


def test_under_gevent() -> None:
    """It says that it is for threads, and where to connect instead."""
    program = """
        from gevent import monkey
        monkey.patch_all()
        import hotconfig
        try:
            hotconfig.Client("nats://127.0.0.1:1").start()
        except hotconfig.Unavailable as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    assert "green threads" in done.stdout
    assert "Next: connect to PostgreSQL" in done.stdout
