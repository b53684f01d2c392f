"""A database for each test, migrated and seeded; a session, somebody with psql, and an orchestrator on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import hotconfig
import psycopg
import pytest
from hotconfig import migrations
from sqlalchemy.orm import Session

from optiinfra import database, seeds
from optiinfra.registry import Registry, client

PATIENCE = 100.0  # seconds
Sql = psycopg.Connection


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and children inherit that: here Ctrl-C is tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_environment() -> None:
    """Nothing of the developer's environment says where the tables are."""
    for variable in list(os.environ):
        if variable.startswith(("HOTCONFIG_", "PG")) or variable == "DATABASE_URL":
            del os.environ[variable]


@pytest.fixture(scope="session")
def hotconfig_prepare() -> Callable[[str], object]:
    def prepare(url: str) -> None:
        with database.migrated(url) as connection:
            seeds.seed(connection)

    return prepare


@pytest.fixture
def session(hotconfig_database: str) -> Iterator[Session]:
    with migrations.connect(hotconfig_database) as connection, Session(connection) as session:
        yield session


@pytest.fixture
def sql(hotconfig_database: str) -> Iterator[Sql]:
    """Somebody with psql, say."""
    with psycopg.connect(hotconfig_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def registry(hotconfig_database: str) -> Iterator[hotconfig.Client[Registry]]:
    """What an orchestrator follows."""
    with client(hotconfig_database) as registry:
        yield registry
