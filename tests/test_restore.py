"""Dump and restore: what comes back, and what a restore of data alone needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Psql
from servers import Server

from hotconfig import Client

Dump = Callable[..., str]


@pytest.fixture
def dump(server: Server, database: str, tmp_path: Path) -> Dump:
    """Run the real pg_dump on the test's database; the SQL that it prints."""

    def dump(*options: str) -> str:
        command: list[str | Path] = [server.bin / "pg_dump", *options, "-d", database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return dump


@pytest.fixture
def elsewhere(server: Server) -> Iterator[str]:
    """The name of an empty database."""
    server.create_database("restored", "template0")
    yield "restored"
    server.drop_database("restored")


def test_a_full_dump_restores_everything(server: Server, psql: Psql, dump: Dump, elsewhere: str) -> None:
    """Documents, versions, history and triggers come back, and the next edit is the next version."""
    psql("UPDATE config_ai_infra SET llm_temperature = 0.2")
    state = "SELECT version, token FROM config_state"
    content = "SELECT name, version, document FROM config_documents ORDER BY name"
    history = "SELECT count(*), max(id) FROM config_history"

    server.psql(elsewhere, dump())

    for query in (state, content, history):
        assert server.psql(elsewhere, query) == psql(query)
    server.psql(elsewhere, "UPDATE config_ai_infra SET llm_temperature = 0.3")
    assert server.psql(elsewhere, "SELECT version FROM config_state") == "3"
    assert server.psql(elsewhere, "SELECT max(id) FROM config_history") == "7"


def test_an_older_dump_over_a_live_database_is_a_step_back(psql: Psql, dump: Dump, database: str) -> None:
    """Clients follow it: a lower version with another content is applied once, and counted."""
    older = dump("--clean")
    psql("UPDATE config_ai_infra SET llm_temperature = 0.2")
    with Client(database, heartbeat=0.2) as client:
        assert client.current().ai_infra.llm_temperature == 0.2

        psql(f"BEGIN;\n{older}\nCOMMIT;")

        restored = client.wait_for(until=lambda c: c.ai_infra.llm_temperature == 0.7, timeout=30)
        assert restored.version == 1
        assert client.status().rewinds == 1


def test_data_alone(server: Server, psql: Psql, dump: Dump, elsewhere: str) -> None:
    """Into tables that exist: state and documents are emptied first, and config_touch() publishes afterwards."""
    psql("UPDATE config_ai_infra SET llm_temperature = 0.2")
    tables = ["config_profiles", "config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts"]
    only = [f"--table={table}" for table in tables]
    server.psql(elsewhere, dump("--schema-only"))
    server.psql(elsewhere, "INSERT INTO config_state (version, token) VALUES (0, gen_random_uuid())")

    server.psql(elsewhere, "SET session_replication_role = replica;" + dump("--data-only", *only))

    assert server.psql(elsewhere, "SELECT count(*) FROM config_documents") == "0"
    server.psql(elsewhere, "SELECT config_touch()")
    documents = "SELECT name, document FROM config_documents ORDER BY name"
    assert server.psql(elsewhere, documents) == psql(documents)


def test_data_alone_with_the_documents(server: Server, psql: Psql, dump: Dump, elsewhere: str) -> None:
    """A dump of all data goes in when triggers are off and state and documents were emptied."""
    psql("UPDATE config_ai_infra SET llm_temperature = 0.2")
    server.psql(elsewhere, dump("--schema-only"))
    server.psql(elsewhere, "INSERT INTO config_state (version, token) VALUES (0, gen_random_uuid())")

    server.psql(
        elsewhere,
        "SET session_replication_role = replica; DELETE FROM config_state; DELETE FROM config_documents;"
        + dump("--data-only", "--exclude-table=hotconfig_alembic_version"),
    )

    server.psql(elsewhere, "SELECT config_touch()")
    assert server.psql(elsewhere, "SELECT version FROM config_state") == "2", "nothing differed"
    server.psql(elsewhere, "UPDATE config_ai_infra SET llm_temperature = 0.3")
    assert server.psql(elsewhere, "SELECT version FROM config_state") == "3"
