"""For tests of applications: a configuration without a database, and databases for the tests that want one.

    import hotconfig
    from hotconfig.testing import override

    with override({"ai_infra.llm_temperature": 0.1}) as cfg:
        assert hotconfig.current() is cfg

Installing hotconfig also installs a pytest plugin: its fixtures `hotconfig_override` and `hotconfig_database` are these
functions with the leaving done for you at the end of the test.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, overload
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from hotconfig import embedded
from hotconfig._api import default
from hotconfig._client import Client
from hotconfig.profile import ProfileConfig, default_profile
from hotconfig.snapshot import S, Snapshot, split_path

__all__ = ["databases", "override"]


@overload
def override(value: ProfileConfig | Mapping[str, object], /) -> AbstractContextManager[ProfileConfig]: ...
@overload
def override(value: S | Mapping[str, object], /, *, client: Client[S]) -> AbstractContextManager[S]: ...
def override(value: Any, /, *, client: Any = None) -> Any:
    """Within, `current()` is this configuration, in every thread; nothing connects.

    Subscribers have been told when it is entered, and again when it is left. Overrides nest.

    Args:
        value: a whole snapshot; or paths and their values, `{"ai_infra.llm_temperature": 0.1}`, on top of the outer
            override, else the running client's snapshot, else the defaults of `hotconfig init`.
        client: whose. Default: the default client.

    Raises:
        KeyError: a path that names no field.
        pydantic.ValidationError: a value that breaks a rule.
        TypeError: paths, but the client has a model of its own and no snapshot yet: give a whole one.
    """
    followed: Client[Any] = default if client is None else client
    if isinstance(value, Mapping):
        value = _changed(_base(followed), value)
    return followed._overriding(value)  # the other half of it


@contextmanager
def databases(
    prepare: Callable[[str], object] | None = None,
) -> Iterator[Callable[[], AbstractContextManager[str]]]:
    """Within, a PostgreSQL of its own, and of it as many databases as wanted: all alike, each gone when it is left.

        from hotconfig import Client
        from hotconfig.testing import databases

        with databases() as database, database() as url, Client(url) as client:
            print(client.current().profile.name)

    It is the embedded server in a temporary directory. Each database is a copy of one that is prepared once.

    Args:
        prepare: is given the URL of an empty database, and makes there what every copy begins with, such as your
            migrations. It leaves no connection open. Default: hotconfig's tables and the profile of `hotconfig init`.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
        Unavailable: the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="hotconfig-") as directory:
        Path(directory).chmod(0o755)  # the server of root belongs to another user, who has to get there
        server = Path(directory, "data")
        original = urlsplit(embedded.start(server))
        numbers = itertools.count(1)

        @contextmanager
        def database() -> Iterator[str]:
            name = f"test_{next(numbers)}"
            _run(original.geturl(), SQL("CREATE DATABASE {} TEMPLATE {}"), name, original.path[1:])
            try:
                yield original._replace(path=f"/{name}").geturl()
            finally:
                _run(original.geturl(), SQL("DROP DATABASE {} WITH (FORCE)"), name)

        try:
            (prepare or _profile)(original.geturl())
            yield database
        finally:
            embedded.leave(server)


def _profile(url: str) -> None:
    # Late: they need SQLAlchemy and Alembic, which a test without a database does not.
    from hotconfig import migrations
    from hotconfig.admin import Admin

    migrations.upgrade(url)
    with Admin(url) as admin:
        admin.init()


def _run(url: str, statement: SQL, *names: str) -> None:
    # From elsewhere, since nobody may be in a database that is copied.
    elsewhere = urlsplit(url)._replace(path="/postgres").geturl()
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(statement.format(*map(Identifier, names)))


def _base(client: Client[Any]) -> Snapshot:
    # Not what a closed client was left with: a test would depend on those that ran before it.
    base: Snapshot | None = client._served() if client._overrides or client._started() else None
    if base is not None:
        return base
    if client._settings.model is not ProfileConfig:
        raise TypeError("paths need something to change: start the client, or override with a whole snapshot first")
    return default_profile()


def _changed(base: Snapshot, values: Mapping[str, object]) -> Snapshot:
    data = base.model_dump()
    for path, value in values.items():
        *steps, last = split_path(path)
        within: Any = data
        held: object = base
        try:
            for step in steps:
                within = within[step]
                held = held[step] if isinstance(held, Mapping) else getattr(held, step)
            if not isinstance(held, Mapping) and last not in within:  # a mapping may get a new key
                raise KeyError(last)
            within[last] = value
        except (KeyError, TypeError):
            raise KeyError(f"{path!r} is no field of {type(base).__name__}") from None
    return type(base).model_validate(data)
