"""Comes with hotconfig: pytest finds it without any configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from hotconfig.testing import databases, override

__all__ = ["hotconfig_database", "hotconfig_databases", "hotconfig_override", "hotconfig_prepare"]


@pytest.fixture
def hotconfig_override() -> Iterator[Callable[..., Any]]:
    """`hotconfig.testing.override` until the test ends: `hotconfig_override({"ai_infra.llm_temperature": 0.1})`.

    It may be called several times, takes the same arguments, and returns the configuration.
    """
    with ExitStack() as stack:

        def until_the_end(*args: Any, **kwargs: Any) -> Any:
            return stack.enter_context(override(*args, **kwargs))

        yield until_the_end


@pytest.fixture(scope="session")
def hotconfig_prepare() -> Callable[[str], object] | None:
    """What `hotconfig_database` begins with: hotconfig's tables and a default profile.

    Define a fixture of this name, for the session, that returns a function of yours: see `hotconfig.testing.databases`.
    """
    return None


@pytest.fixture(scope="session")
def hotconfig_databases(
    hotconfig_prepare: Callable[[str], object] | None,
) -> Iterator[Callable[[], AbstractContextManager[str]]]:
    """`hotconfig.testing.databases` until the session ends, for a fixture with a database of another scope."""
    with databases(hotconfig_prepare) as database:
        yield database


@pytest.fixture
def hotconfig_database(hotconfig_databases: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The URL of a PostgreSQL database that is this test's alone. Needs the extra `embedded`."""
    with hotconfig_databases() as url:
        yield url
