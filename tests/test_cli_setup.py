"""migrate and dev: an installation from nothing, and the way back."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from commands import PROGRAM, on_a_terminal, out, printed, refused, run
from conftest import Psql
from programs import interrupt, started
from servers import Server

from hotconfig import migrations


@pytest.fixture
def blank(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database, which the environment names."""
    name = f"blank_{os.urandom(4).hex()}"
    url = server.create_database(name, "template0")
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", url)
    yield url
    server.drop_database(name)


def test_migrate(blank: str) -> None:
    """Up, again, and down; the next step is said once."""
    head = migrations.status(blank).head
    assert out("migrate").splitlines() == [
        f'schema "public": revision base -> {head}',
        "next: `hotconfig init` makes the default profile",
    ]
    assert out("migrate") == f'schema "public": at revision {head} already\n'
    assert out("migrate", "--down", "base") == f'schema "public": revision {head} -> base\n'
    assert printed("migrate") == {"schema": "public", "old_revision": None, "revision": head}
    assert out("init") == 'profile "default": version 0 -> 1\n'


def test_migrate_in_a_schema(blank: str) -> None:
    """All verbs take it."""
    out("migrate", "--schema", "app")
    assert "hotconfig migrate" in refused(1, "init")
    out("init", "--schema", "app")
    out("set", "ai_infra.llm_temperature=0.2", "--schema", "app")
    assert out("show", "ai_infra.llm_temperature", "--schema", "app") == "0.2\n"


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("y\n", 0)])
def test_down_asks_on_a_terminal(blank: str, typed: str, code: int) -> None:
    """It drops data, so somebody who is there has to say yes."""
    out("migrate")
    done, shown = on_a_terminal("migrate", "--down", "base", typed=typed)
    assert "with its data and history?" in shown
    assert done == code
    assert migrations.status(blank).up_to_date == (code == 1)


def test_migrate_prints_sql(blank: str, server: Server) -> None:
    """What psql makes of it is what migrate makes; both ways, without a connection."""
    name = psycopg.conninfo.conninfo_to_dict(blank)["dbname"]
    nowhere = ("--database", "postgresql://127.0.0.1:1/x")
    server.psql(str(name), out("migrate", "--sql", "--schema", "a b", *nowhere))
    assert migrations.status(blank, schema="a b").up_to_date
    server.psql(str(name), printed("migrate", "--sql", "--down", "base", "--schema", "a b", *nowhere)["sql"])
    assert migrations.status(blank, schema="a b").current is None


@pytest.mark.parametrize("arguments", [("--sql",), ()])
def test_no_such_revision(blank: str, arguments: tuple[str, ...]) -> None:
    """It is said, and nothing done."""
    out("migrate")
    assert "'none'" in refused(2, "migrate", "--down", "none", *arguments)
    assert migrations.status(blank).up_to_date


def test_migrate_makes_up_for_missing_roles(blank: str, own_server: Server) -> None:
    """A role that may not create roles migrates with a warning; a superuser's migrate adds them."""
    url = own_server.create_database("app", "template0")
    own_server.psql("app", "DROP OWNED BY hotconfig_owner, hotconfig_editor, hotconfig_reader")
    own_server.psql("hotconfig_template", "DROP OWNED BY hotconfig_owner, hotconfig_editor, hotconfig_reader CASCADE")
    own_server.psql("app", "DROP ROLE hotconfig_owner; DROP ROLE hotconfig_editor; DROP ROLE hotconfig_reader")
    own_server.psql("app", "CREATE ROLE plain LOGIN; ALTER DATABASE app OWNER TO plain")
    own_server.psql("app", "ALTER SCHEMA public OWNER TO plain")
    plain = psycopg.conninfo.make_conninfo(url, user="plain")
    migrations.upgrade(plain)
    told = json.loads(run("doctor", "--json", "--database", plain).stdout)
    privileges = next(each for each in told["findings"] if each["check"] == "privileges")
    assert privileges["state"] == "warning"
    assert "hotconfig's roles are missing" in privileges["text"]
    out("migrate", "--database", url)
    assert own_server.psql("app", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'hotconfig%'") == "3"
    assert (
        own_server.psql("app", "SELECT tableowner FROM pg_tables WHERE tablename = 'config_state'") == "hotconfig_owner"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev(directory: Path, number: signal.Signals) -> None:
    """It prints where it is and what to try, which works; Ctrl-C ends it with the server, and the data stays."""
    command = [*PROGRAM, "dev", "--database", f"embedded:{directory}"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(4)]
        try:
            (url,) = shlex.split(said[1].partition("=")[2])
            assert out("show", "ai_infra.llm_temperature", "--database", url) in ("0.7\n", "0.2\n")
            subprocess.run(shlex.split(said[3]), check=True, capture_output=True)
            assert out("show", "ai_infra.llm_temperature", "--database", url) == "0.2\n"
        finally:
            interrupt(process, number)
        rest, complaint = process.communicate(timeout=20)
    assert (process.returncode, rest, complaint) == (0, "", "")
    assert not (directory / "postmaster.pid").exists()


def test_dev_as_json(directory: Path) -> None:
    """One object with the URL and the command."""
    command = [*PROGRAM, "dev", "--json", "--schema", "app", "--database", f"embedded:{directory}"]
    with started(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert out("show", "profile.name", "--schema", "app", "--database", told["url"]) == "default\n"
        assert '"app"."config_ai_infra"' in told["psql"]
        interrupt(process)


def test_dev_is_for_an_embedded_server() -> None:
    """Another one is a matter of usage."""
    assert "--database embedded:" in refused(2, "dev", "--database", "postgresql://localhost/x")


def test_psql_sees_the_command_line_s_edits(psql: Psql, database: str) -> None:
    """An edit stands in the same tables that psql writes."""
    out("set", "genie.space_name=Sales", "--database", database)
    assert psql("SELECT space_name FROM config_genie_spaces") == "Sales"
