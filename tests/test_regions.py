"""docs/howto/regions.md: published documents reach another server by logical replication, and clients there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pages
import psycopg
import pytest
from diagnosing import found, wrong
from dispatching import PATIENCE
from editing import FOREVER, eventually
from psycopg import errors
from servers import TEMPLATE, Server

from hotconfig import Client

PAGE = Path(__file__).parent.parent / "docs/howto/regions.md"
EDIT = "UPDATE config_ai_infra SET llm_max_tokens = {}; SELECT version FROM config_state"


@dataclass(frozen=True)
class Regions:
    primary: Server
    region: Server
    database: str

    @property
    def url(self) -> str:
        """Of the region's database."""
        return self.region.url(self.database)

    def edit(self, tokens: int) -> int:
        """At the primary; the version."""
        return int(self.primary.psql(self.database, EDIT.format(tokens)))


@pytest.fixture
def regions(server: Server, own_server: Server, database_name: str, tmp_path: Path) -> Iterator[Regions]:
    """The primary is the session's server, the region a server of this test; both as the page says."""
    own_server.create_database(database_name, TEMPLATE)
    role, name = f"region_{database_name}", f"hotconfig_{database_name}"
    there, here = (pages.save(PAGE, title, tmp_path).read_text() for title in ("primary.sql", "region.sql"))
    server.psql(database_name, there.replace("region", role))
    example = "host=primary.example dbname=app user=region password=secret"
    assert example in here
    real = f"host=127.0.0.1 port={server.port} dbname={database_name} user={role} password=secret"
    own_server.psql(database_name, here.replace(example, real).replace("hotconfig_region", name))
    ready = pages.save(PAGE, "ready.sql", tmp_path).read_text()
    eventually(lambda: own_server.psql(database_name, ready) == "t")
    yield Regions(server, own_server, database_name)
    own_server.psql(database_name, f"DROP SUBSCRIPTION {name}")
    server.psql(database_name, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_an_edit_reaches_a_region(regions: Regions) -> None:
    """By notification, since no heartbeat comes."""
    with Client(regions.url, heartbeat=FOREVER) as client:
        assert client.status().state == "live"
        for tokens in (5, 6, 7):
            assert client.wait_for(regions.edit(tokens), timeout=PATIENCE).ai_infra.llm_max_tokens == tokens


def test_a_region_that_falls_behind(regions: Regions) -> None:
    """It serves what it has, says so to doctor, and catches up with what was edited meanwhile."""
    subscription = f"ALTER SUBSCRIPTION hotconfig_{regions.database}"
    with Client(regions.url, heartbeat=FOREVER) as client:
        version = regions.edit(5)
        client.wait_for(version, timeout=PATIENCE)
        assert wrong(regions.url) == {}
        assert "by subscription" in found(regions.url, "documents").text

        regions.region.psql(regions.database, f"{subscription} DISABLE")
        eventually(lambda: found(regions.url, "documents").state == "warning")
        newest = [regions.edit(tokens) for tokens in (6, 7, 8)][-1]
        assert client.current().version == version
        with Client(regions.url, heartbeat=FOREVER) as another:
            assert another.current().ai_infra.llm_max_tokens == 5

        regions.region.psql(regions.database, f"{subscription} ENABLE")
        # A PostgreSQL up to 15 starts the worker again after wal_retrieve_retry_interval, 5 s.
        assert client.wait_for(newest, timeout=PATIENCE).ai_infra.llm_max_tokens == 8


def test_a_primary_that_cannot_be_reached(regions: Regions) -> None:
    """Processes of the region start all the same."""
    version = regions.edit(5)
    with Client(regions.url, heartbeat=FOREVER) as client:
        client.wait_for(version, timeout=PATIENCE)
    regions.region.psql(regions.database, f"ALTER SUBSCRIPTION hotconfig_{regions.database} DISABLE")
    with Client(regions.url, heartbeat=FOREVER) as client:
        assert client.current().ai_infra.llm_max_tokens == 5
    regions.region.psql(regions.database, f"ALTER SUBSCRIPTION hotconfig_{regions.database} ENABLE")


def test_whoever_edits_in_a_region(regions: Regions) -> None:
    """Is told where to, and changes nothing; config_touch() neither, which would take every document away."""
    with psycopg.connect(regions.url, autocommit=True) as connection:
        for statement in ("INSERT INTO config_profiles (name) VALUES ('mine')", "SELECT config_touch()"):
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="replicated to this server") as refused:
                connection.execute(statement.encode())
            assert refused.value.diag.message_hint == "Edit it there."
        assert connection.execute("SELECT count(*) FROM config_documents").fetchone() == (2,)
