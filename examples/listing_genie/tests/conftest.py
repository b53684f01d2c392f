"""A database for each test, migrated and seeded; and the application on it, with a directory of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from listing_genie import app, image_settings, settings

PATIENCE = 100.0  # seconds
PRODUCT = {
    "upload_path": "uploads/bottle.jpg",
    "product_title": "Steel bottle",
    "feature_1": "0.75 l",
    "feature_2": "keeps cold for a day",
    "target_audience": "hikers",
    "keywords": [
        {"keyword": "bottle that does not leak", "intent_types": ["problem_solution", "durability"]},
        {"keyword": "hiking bottle", "intent_types": ["use_case"]},
    ],
}


@pytest.fixture(scope="session", autouse=True)
def _no_environment() -> None:
    """Nothing of the developer's environment says where the settings are."""
    for variable in list(os.environ):
        if variable.startswith(("HOTCONFIG_", "PG")) or variable == "DATABASE_URL":
            del os.environ[variable]


@pytest.fixture(scope="session")
def hotconfig_prepare() -> Callable[[str], object]:
    return image_settings.migrate


@pytest.fixture
def enterable() -> Iterator[Path]:
    """A directory that the user who runs an embedded server for root can enter."""
    with tempfile.TemporaryDirectory(prefix="listing-genie-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def sql(hotconfig_database: str) -> Iterator[Callable[[str], object]]:
    """Somebody with psql, say."""
    with psycopg.connect(hotconfig_database, autocommit=True) as connection:
        yield connection.execute


@pytest.fixture
def client(hotconfig_database: str, tmp_path: Path) -> Iterator[TestClient]:
    """The application, served."""
    with TestClient(app.create(tmp_path, settings.client(hotconfig_database, tmp_path))) as client:
        yield client


@pytest.fixture
def wait_for(client: TestClient) -> Callable[[Callable[[settings.Settings], bool]], settings.Settings]:
    """Until the application has such settings."""
    return lambda until: client.app.state.client.wait_for(until=until, timeout=PATIENCE)  # type: ignore[attr-defined]


def opened(client: TestClient, **other: object) -> dict[str, Any]:
    """A session of a product."""
    response = client.post("/sessions", json=PRODUCT | other)
    assert response.status_code == 201, response.text
    return dict(response.json())


def types(session: dict[str, Any]) -> list[str]:
    return [image["image_type"] for image in session["images"]]
