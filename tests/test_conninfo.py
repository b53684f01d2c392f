"""Where to connect, and what is said about it."""

from __future__ import annotations

import pytest

from hotconfig import conninfo, embedded
from hotconfig.errors import Unavailable

SECRET = "s3cret"


def params(text: str) -> dict[str, str]:
    return conninfo.resolve(text).connect_params()


@pytest.mark.parametrize(
    "text",
    [
        "host=db port=6432 dbname=app user=alice password=s3cret",
        "postgresql://alice:s3cret@db:6432/app",
        "postgres://alice:s3cret@db:6432/app",
        "postgresql+psycopg://alice:s3cret@db:6432/app",
        "postgresql+psycopg2://alice:s3cret@db:6432/app",
        "postgresql+asyncpg://alice:s3cret@db:6432/app",
    ],
)
def test_every_spelling_of_an_address_means_the_same(text: str) -> None:
    """libpq strings, libpq URLs and SQLAlchemy URLs give the same parameters."""
    assert params(text) == {"host": "db", "port": "6432", "dbname": "app", "user": "alice", "password": SECRET}


def test_several_hosts() -> None:
    """A libpq URL may name several hosts, each with a port or without."""
    assert params("postgresql://db1,db2:5433/app") == {"host": "db1,db2", "port": ",5433", "dbname": "app"}


@pytest.mark.parametrize(
    "query", ["host=db1:5432&host=db2:5433", "host=db1:5432,db2:5433", "host=db1,db2&port=5432,5433"]
)
def test_several_hosts_of_sqlalchemy(query: str) -> None:
    """SQLAlchemy's ways to write several hosts become libpq's."""
    assert params(f"postgresql+psycopg:///app?{query}") == {"host": "db1,db2", "port": "5432,5433", "dbname": "app"}


def test_socket_directory() -> None:
    """A host that is a directory stays one, in a libpq URL and in one of SQLAlchemy."""
    expected = {"host": "/run/postgresql", "dbname": "app"}
    assert params("postgresql:///app?host=/run/postgresql") == expected
    assert params("postgresql+psycopg:///app?host=/run/postgresql") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl=require", {"sslmode": "require"}),
        ("ssl=true", {"sslmode": "require"}),
        ("ssl=verify-full", {"sslmode": "verify-full"}),
        ("timeout=5", {"connect_timeout": "5"}),
        ("sslmode=require&application_name=a%20b", {"sslmode": "require", "application_name": "a b"}),
        ("prepared_statement_cache_size=0&async_fallback=true", {}),
    ],
)
def test_query_of_a_driver(query: str, expected: dict[str, str]) -> None:
    """What libpq has under another name is renamed, what only SQLAlchemy or its driver know is dropped."""
    assert params(f"postgresql+asyncpg://db/app?{query}") == {"host": "db", "dbname": "app", **expected}


def test_password_with_special_characters() -> None:
    """An escaped password arrives unescaped; a question mark in it needs no escape."""
    assert params("postgresql+psycopg://alice:p%40%2F%25?x@db/app?sslmode=prefer")["password"] == "p@/%?x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither a URL nor key=value pairs"),
        ("db.example.com", "neither a URL nor key=value pairs"),
        ("mysql://root:s3cret@db/app", "mysql:// is no address of PostgreSQL"),
        ("postgresql://db/app?schema=x", "a parameter 'schema', which libpq does not know"),
        ("postgresql://db:54x2/app", "port is not a number"),
        ("postgresql://db:99999/app", "port is not a number"),
        ("postgresql://alice:a@s3cret@db/app", "@ where none can be"),
        ("postgresql://alice:a/s3cret@db/app", "@ where none can be"),
        ("postgresql://alice:12/s3cret@db/app", "@ where none can be"),
        ("postgresql+psycopg://alice:12/3?s3cret@db/app", "@ where none can be"),
        ("postgresql://alice:%s3cret@db/app", "% and the like are written"),
        ("postgresql://alice@db/app?password=a&s3cret=b", "the URL cannot be read"),
        ("postgresql://alice:s3cret\udcff@db/app", "the URL cannot be read"),
        ("hots=db", "'hots' is no parameter of libpq"),
        ("host=db password=a s3cret dbname=app", "key='a b'"),
        ("host=db password=a s3cret=b", "key='a b'"),
        ("host=db dbname=postgresql://alice:s3cret@db/app", "dbname holds another address"),
    ],
)
def test_malformed(text: str, says: str) -> None:
    """A malformed address is a ValueError that says what is wrong and what is right, without the password."""
    with pytest.raises(ValueError, match="right is for example") as caught:
        conninfo.check(text)
    assert says in str(caught.value)
    for attached in (caught.value, caught.value.__cause__, caught.value.__context__):
        assert SECRET not in f"{attached} {attached!r}"


def test_neither_string_nor_callable() -> None:
    """Anything but a string or a callable is a TypeError."""
    with pytest.raises(TypeError, match="not int"):
        conninfo.check(5432)


def test_check_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """check() judges what it is given alone: no environment, no callable, no server."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", "nonsense")
    conninfo.check(None)
    conninfo.check("embedded:")
    conninfo.check(lambda: pytest.fail("called"))


def test_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, HOTCONFIG_DATABASE_URL, DATABASE_URL, the default: in this order, read at the call."""
    assert str(conninfo.resolve()) == (
        "host=localhost port=5432 dbname=ai_slide_generator"
        " (from the default, since neither HOTCONFIG_DATABASE_URL nor DATABASE_URL is set)"
    )
    monkeypatch.setenv("DATABASE_URL", "postgresql://db2/app")
    assert str(conninfo.resolve()) == "host=db2 dbname=app (from DATABASE_URL)"
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", "postgresql://db1/app")
    assert str(conninfo.resolve()) == "host=db1 dbname=app (from HOTCONFIG_DATABASE_URL)"
    assert str(conninfo.resolve("host=db0")) == "host=db0 (from the argument)"


def test_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set to nothing counts as not set, and a newline at the end does no harm."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", "")
    monkeypatch.setenv("DATABASE_URL", "postgresql://db2/app\n")
    assert conninfo.resolve().connect_params() == {"host": "db2", "dbname": "app"}


def test_malformed_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a variable is malformed, the error names it."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{SECRET}")
    with pytest.raises(ValueError, match=r"^DATABASE_URL: sqlite://") as caught:
        conninfo.resolve()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["postgresql://alice:s3cret@db/app", "host=db user=alice password='s3cret'"])
def test_password_is_never_shown(text: str) -> None:
    """Neither str() nor repr() of a target shows the password."""
    target = conninfo.resolve(text)
    assert target.safe() in ("host=db dbname=app user=alice", "host=db user=alice")
    assert SECRET not in f"{target} {target!r}"


def test_callable_is_called_at_every_connect() -> None:
    """A callable is asked again each time, and not before."""
    passwords = iter(["first", "second"])
    target = conninfo.resolve(lambda: f"postgresql://alice:{next(passwords)}@db/app")
    assert target.connect_params()["password"] == "first"
    assert target.connect_params()["password"] == "second"


def test_callable_is_named_and_not_called_to_be_shown() -> None:
    """A target shows the name of its callable."""

    def rds_token() -> str:
        pytest.fail("called")

    assert "rds_token() returns (from the argument)" in str(conninfo.resolve(rds_token))


def test_callable_that_raises() -> None:
    """A callable that raises is Unavailable, with the cause, which alone holds its text."""

    def token() -> str:
        raise LookupError(SECRET)

    with pytest.raises(Unavailable, match=r"token\(\), asked where to connect, raised LookupError") as caught:
        conninfo.resolve(token).connect_params()
    assert isinstance(caught.value.__cause__, LookupError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("returned", [None, 5, b"host=db", f"mysql://{SECRET}"])
def test_callable_that_returns_something_else(returned: object) -> None:
    """A callable that returns no address is Unavailable, with the cause."""

    def token() -> str:
        return returned  # type: ignore[return-value]

    with pytest.raises(Unavailable, match=r"token\(\), asked where to connect, returned: ") as caught:
        conninfo.resolve(token).connect_params()
    assert isinstance(caught.value.__cause__, TypeError | ValueError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [("embedded:", None), ("embedded:/srv/x", "/srv/x"), ("embedded:///srv/x", "/srv/x"), ("embedded:x", "x")],
)
def test_embedded(text: str, path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """embedded: starts the server in the directory that it names, at every connect."""
    started: list[object] = []

    def start(path: object = None) -> str:
        started.append(path)
        return "postgresql://postgres@/hotconfig?host=%2Fsrv&port=5432"

    monkeypatch.setattr(embedded, "start", start)
    target = conninfo.resolve(text)
    assert started == []
    assert target.safe() == text
    expected = {"host": "/srv", "port": "5432", "dbname": "hotconfig", "user": "postgres"}
    assert [target.connect_params(), target.connect_params()] == [expected, expected]
    assert started == [path, path]


def test_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is the argument, else HOTCONFIG_SCHEMA, else public."""
    assert conninfo.schema_name() == "public"
    monkeypatch.setenv("HOTCONFIG_SCHEMA", "settings")
    assert conninfo.schema_name() == "settings"
    assert conninfo.schema_name("other") == "other"


@pytest.mark.parametrize(("schema", "says"), [("", "empty"), ("a\0b", "NUL"), ("ü" * 27, "53 bytes")])
def test_schema_is_refused(schema: str, says: str) -> None:
    """An empty schema is refused, one with a NUL, and one of more than 53 bytes."""
    with pytest.raises(ValueError, match=says):
        conninfo.schema_name(schema)


def test_schema_of_the_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """When HOTCONFIG_SCHEMA is what is wrong, the error names it."""
    monkeypatch.setenv("HOTCONFIG_SCHEMA", "s" * 54)
    with pytest.raises(ValueError, match="HOTCONFIG_SCHEMA"):
        conninfo.schema_name()


def test_channel() -> None:
    """The longest schema makes a channel of 63 bytes; that of public is plain hotconfig."""
    assert conninfo.channel("public") == "hotconfig"
    assert conninfo.channel("settings") == "hotconfig:settings"
    assert len(conninfo.channel(conninfo.schema_name("s" * 53))) == 63


def test_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is the argument, else HOTCONFIG_PROFILE, else None: the default one."""
    assert conninfo.profile_name() is None
    monkeypatch.setenv("HOTCONFIG_PROFILE", "canary")
    assert conninfo.profile_name() == "canary"
    assert conninfo.profile_name("stable") == "stable"
    with pytest.raises(ValueError, match="empty"):
        conninfo.profile_name(" ")
