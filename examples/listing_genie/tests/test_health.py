"""/health while all is well, while PostgreSQL is down, and when SQLite is broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hotconfig
import psycopg
import pytest
from conftest import PATIENCE, opened, types
from fastapi.testclient import TestClient
from hotconfig import embedded

from listing_genie import app, image_settings, settings
from listing_genie.settings import ImageType

BOTH = pytest.mark.parametrize("path", ["/health", "/api/health"])


class Postgres:
    """A server of this test's own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.url = self.start()
        image_settings.migrate(self.url)

    def start(self) -> str:
        return embedded.start(self._data)

    def stop(self) -> None:
        embedded.leave(self._data)

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def postgres(enterable: Path) -> Iterator[Postgres]:
    postgres = Postgres(enterable / "data")
    yield postgres
    postgres.stop()


def health(client: TestClient, path: str = "/health", code: int = 200) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == code
    return dict(response.json())


def stale(client: TestClient) -> dict[str, Any]:
    """What it says as soon as the link is down."""
    while (said := health(client))["hotconfig"]["state"] != "stale":
        pass
    return said


@BOTH
def test_all_is_well(client: TestClient, path: str) -> None:
    """Both databases, and the version that is served."""
    said = health(client, path)
    assert (said["status"], said["database"]) == ("ok", "ok")
    assert said["hotconfig"]["state"] == "live"
    assert said["hotconfig"]["version"] == client.app.state.client.current().version  # type: ignore[attr-defined]
    assert said["hotconfig"]["rejected"] is None
    assert said["hotconfig"]["staleness"] >= 0


@BOTH
def test_a_broken_database_is_down(client: TestClient, path: str, tmp_path: Path) -> None:
    """503: without its own data it is of no use."""
    with sqlite3.connect(tmp_path / "listing.db") as connection:
        connection.execute("DROP TABLE generation_sessions")
    connection.close()
    said = health(client, path, 503)
    assert (said["status"], said["database"]) == ("down", "down")
    assert said["hotconfig"]["state"] == "live"


def test_while_postgres_is_down(postgres: Postgres, tmp_path: Path) -> None:
    """Stale, with 200: sessions are opened with the last settings; when it is back, edits arrive again."""
    client = settings.client(postgres.url, tmp_path)
    with TestClient(app.create(tmp_path, client)) as http:
        assert health(http)["status"] == "ok"
        before = opened(http)
        version = client.current().version

        postgres.stop()

        said = stale(http)
        assert (said["status"], said["database"], said["hotconfig"]["version"]) == ("degraded", "ok", version)
        assert health(http, "/api/health")["status"] == "degraded"
        assert http.get(f"/sessions/{before['id']}").json() == before
        session = opened(http)
        assert types(session) == sorted(ImageType)
        assert http.post(f"/sessions/{session['id']}/images").json()["status"] == "complete"

        postgres.start()

        postgres.sql("UPDATE image_settings SET enabled = image_type = 'main'")
        client.wait_for(until=lambda settings: len(settings.enabled) == 1, timeout=PATIENCE)
        assert types(opened(http)) == ["main"]
        assert health(http)["status"] == "ok"


def test_a_start_while_postgres_is_down(postgres: Postgres, tmp_path: Path) -> None:
    """It serves what it remembers, and goes on with what it is told later."""
    postgres.sql("UPDATE image_settings SET enabled = image_type = 'main'")
    with TestClient(app.create(tmp_path, settings.client(postgres.url, tmp_path))) as http:
        version = health(http)["hotconfig"]["version"]

    postgres.stop()

    client = settings.client(postgres.url, tmp_path)
    with TestClient(app.create(tmp_path, client)) as http:
        said = health(http)
        assert (said["status"], said["hotconfig"]["state"]) == ("degraded", "stale")
        assert (said["hotconfig"]["version"], said["hotconfig"]["staleness"]) == (version, None)
        assert types(opened(http)) == ["main"]

        postgres.start()

        postgres.sql("UPDATE image_settings SET enabled = image_type = 'lifestyle'")
        client.wait_for(until=lambda settings: ImageType.LIFESTYLE in settings.enabled, timeout=PATIENCE)
        assert health(http)["status"] == "ok"


def test_a_first_start_needs_postgres(postgres: Postgres, tmp_path: Path) -> None:
    """Nothing is remembered, so there is nothing to serve."""
    postgres.stop()
    client = settings.client(postgres.url, tmp_path)
    with pytest.raises(hotconfig.Unavailable), TestClient(app.create(tmp_path, client)):
        pass
