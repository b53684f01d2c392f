"""A real PostgreSQL database for each test, a stand-in for the model in a process of its own, an agent between them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hotconfig.admin import Admin

from slide_agent import run

PATIENCE = 100.0  # seconds
Calls = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session", autouse=True)
def _no_environment() -> None:
    """Nothing of the developer's environment says where the configuration, the model or Genie are."""
    for variable in list(os.environ):
        if variable.startswith(("HOTCONFIG_", "OPENAI_", "DATABRICKS_", "PG")):
            del os.environ[variable]


@pytest.fixture(scope="session")
def enterable() -> Iterator[Path]:
    """A directory that the user who runs an embedded server for root can enter."""
    with tempfile.TemporaryDirectory(prefix="slide-agent-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def admin(hotconfig_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Admin]:
    """Somebody who edits a database of this test's own."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", hotconfig_database)
    with Admin(actor="alice") as admin:
        yield admin


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[str]:
    with run.stand_in() as url:
        yield url


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model and Genie are there."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "stand-in")
    monkeypatch.setenv("DATABRICKS_HOST", url)
    monkeypatch.setenv("DATABRICKS_TOKEN", "stand-in")


@pytest.fixture
def calls(_stand_in: str, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The model and Genie are stood in for; what they have been called with in this test."""
    point_to(_stand_in, monkeypatch)

    def calls() -> list[dict[str, Any]]:
        # The first call waits until the program is up, which is slow on a busy machine.
        return list(httpx2.get(f"{_stand_in}/calls", timeout=PATIENCE).json())

    before = len(calls())
    return lambda: calls()[before:]
