"""What `run` and `ask` start, and what they leave alone. (The whole of `run` is in test_page.py too.)"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx2
import psycopg
import pytest
from conftest import PATIENCE
from hotconfig import migrations
from hotconfig.admin import Admin
from programs import port, running

from slide_agent import run

REAL = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "secret"}
WORKSPACE = {"DATABRICKS_HOST": "https://workspace.invalid", "DATABRICKS_TOKEN": "secret too"}


@pytest.fixture(autouse=True)
def _environ() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


def test_without_addresses_the_stand_in_has_both(hotconfig_database: str) -> None:
    """And a key for the model, which somebody has in his environment, does not get there."""
    os.environ["OPENAI_API_KEY"] = "secret"
    with run.environment(hotconfig_database) as url:
        assert os.environ["OPENAI_BASE_URL"] == f"{url}/v1"
        assert os.environ["DATABRICKS_HOST"] == url
        assert "secret" not in os.environ["OPENAI_API_KEY"]


def test_a_model_of_ones_own_is_used(hotconfig_database: str) -> None:
    """With its key; Genie may still be stood in for."""
    os.environ |= REAL
    with run.environment(hotconfig_database) as url:
        assert os.environ.items() >= REAL.items()
        assert os.environ["DATABRICKS_HOST"] == url


def test_nothing_is_started_that_is_there(hotconfig_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_it_prints_edits_the_default_profile(admin: Admin, hotconfig_database: str) -> None:
    """And no other one."""
    admin.create_profile("another")
    before = admin.snapshot("another")
    with psycopg.connect(hotconfig_database) as connection:
        connection.execute(run.EDIT)
    assert admin.snapshot().ai_infra.llm_temperature == 0.2
    assert admin.snapshot("another") == before


def test_what_it_prints_has_no_password() -> None:
    """But all that psql needs beside it, whatever kind of address it was given."""
    printed = run._address("postgresql+psycopg://alice:secret@db.invalid:5433/settings?sslmode=require")
    assert sorted(printed.split()) == [
        "dbname=settings",
        "host=db.invalid",
        "port=5433",
        "sslmode=require",
        "user=alice",
    ]


def test_killed_it_leaves_no_stand_in(enterable: Path) -> None:
    """Which has nobody to end it; the next run takes over the PostgreSQL, and ends it."""
    try:
        with running(enterable / "killed") as program:
            assert httpx2.get(f"{program.stand_in}/calls", timeout=PATIENCE).status_code == 200
            program.process.kill()
            program.process.wait()
            while _answers(program.stand_in):
                pass
    finally:
        with running(enterable / "killed"):
            pass
    assert not (enterable / "killed/postmaster.pid").exists()


def _answers(url: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port(url))) == 0
