"""What `run` and `ask` start, and what they leave alone. (The whole of `run` is in test_page.py.)"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from hotconfig import migrations

from slide_agent import run

REAL = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "secret"}
WORKSPACE = {"DATABRICKS_HOST": "https://workspace.invalid", "DATABRICKS_TOKEN": "secret too"}


@pytest.fixture(autouse=True)
def _environ() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


def test_without_addresses_the_stand_in_has_both(postgres: str) -> None:
    """And a key for the model, which somebody has in his environment, does not get there."""
    os.environ["OPENAI_API_KEY"] = "secret"
    with run.environment(postgres) as url:
        assert os.environ["OPENAI_BASE_URL"] == f"{url}/v1"
        assert os.environ["DATABRICKS_HOST"] == url
        assert "secret" not in os.environ["OPENAI_API_KEY"]


def test_a_model_of_ones_own_is_used(postgres: str) -> None:
    """With its key; Genie may still be stood in for."""
    os.environ |= REAL
    with run.environment(postgres) as url:
        assert os.environ.items() >= REAL.items()
        assert os.environ["DATABRICKS_HOST"] == url


def test_nothing_is_started_that_is_there(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of both: no stand-in. A database of somebody's: neither migrated nor filled."""

    def refuse(*_: object) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(run, "stand_in", refuse)
    monkeypatch.setattr(migrations, "upgrade", refuse)
    os.environ |= REAL | WORKSPACE
    with run.environment("postgresql://somebody.invalid/settings") as url:
        assert url is None
        assert os.environ["HOTCONFIG_DATABASE_URL"] == "postgresql://somebody.invalid/settings"
        assert os.environ.items() >= (REAL | WORKSPACE).items()
