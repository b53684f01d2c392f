"""Where to connect: the one place that decides it, for readers, Admin, the command line and migrations.

    a libpq string or URL        host=db dbname=app · postgresql://alice@db1,db2/app
    a SQLAlchemy URL             postgresql+psycopg://… · postgresql+asyncpg://… · postgres://…
    a callable returning one     called at every connect, for passwords that rotate
    embedded: · embedded:/path   the embedded server, started when it is needed
    nats://host1,host2/bucket    for readers: what `hotconfig relay` has put there
    None                         HOTCONFIG_DATABASE_URL, then DATABASE_URL, then DEFAULT

Nothing here shows a password: neither `str()` nor `repr()` of a target, nor an error about a URL
that was mistyped in the middle of one. A variable that is set to nothing counts as not set.

Environment variables:
    HOTCONFIG_DATABASE_URL: where to connect, if no argument or option says so: any of the strings above.
    DATABASE_URL: the same, if HOTCONFIG_DATABASE_URL is not set.
    HOTCONFIG_PROFILE: the profile that clients follow and verbs mean, if none is named. Default: the default one.
    HOTCONFIG_SCHEMA: where hotconfig's tables are, if no argument or option says so. Default: public.
    HOTCONFIG_INSTANCE: what a process is called in the fleet; best is `<name>.<number>`. Default: host and process id.
    PGUSER, PGPASSWORD, PGSSLMODE: these and libpq's others fill in what a conninfo leaves out.
    USER: in whose folder the MLflow experiment of the first profile lies. Default: `default_user`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

# Imported before any client is, and not where it is used: its exit handler then runs after theirs, so
# that no client sees the server go, and starts it again, at the end of a process.
from hotconfig import _nats_address, embedded
from hotconfig.errors import Unavailable

__all__ = ["DEFAULT", "Conninfo", "Target", "channel", "check", "profile_name", "resolve", "schema_name"]

Conninfo: TypeAlias = str | Callable[[], str]
"""Where to connect, or a function that is asked at every connect."""

DEFAULT = "postgresql://localhost:5432/ai_slide_generator"
"""Where to connect if nobody says."""

# What asyncpg calls otherwise than libpq does.
ASYNCPG_NAMES = {"ssl": "sslmode", "timeout": "connect_timeout", "database": "dbname"}
ASYNCPG_SSL = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and who said so; `str()` tells both, without the password.

    Attributes:
        conninfo: as it was given.
        origin: what named it, to be read after "from": "the argument", "HOTCONFIG_DATABASE_URL".
    """

    conninfo: Conninfo = field(repr=False)
    origin: str

    def connect_params(self) -> dict[str, str]:
        """libpq's parameters. To be called at every connect: passwords rotate, embedded servers stop.

        Raises:
            Unavailable: the callable raises or returns no conninfo, or the embedded server does not start.
            MissingExtra: the embedded server is not installed.
        """
        conninfo = self.conninfo if isinstance(self.conninfo, str) else self._called(self.conninfo)
        if _nats_address.is_nats(conninfo):
            raise Unavailable(
                f"{_nats_address.parse(conninfo)} is for clients that read; what edits, looks back or migrates needs "
                "PostgreSQL. Next: give its address (--database, conninfo=), or set HOTCONFIG_DATABASE_URL to it."
            )
        if _is_embedded(conninfo):
            return dict(_parse(embedded.start(_embedded_path(conninfo))))
        return dict(_parse(conninfo))

    def safe(self) -> str:
        """Host, port, database and user, as far as they are given."""
        if not isinstance(self.conninfo, str):
            return f"what {_name(self.conninfo)} returns"
        if _is_embedded(self.conninfo):
            return self.conninfo
        if _nats_address.is_nats(self.conninfo):
            return str(_nats_address.parse(self.conninfo))
        params = _parse(self.conninfo)
        shown = [f"{name}={params[name]}" for name in ("host", "port", "dbname", "user") if name in params]
        return " ".join(shown) or "what libpq takes by default"

    @property
    def is_default(self) -> bool:
        """Whether nobody said where to connect."""
        return self.conninfo == DEFAULT and self.origin.startswith("the default")

    def __str__(self) -> str:
        return f"{self.safe()} (from {self.origin})"

    def _called(self, function: Callable[[], str]) -> str:
        asked = f"{_name(function)}, asked where to connect,"
        try:
            conninfo: object = function()
        except Exception as error:
            # The type alone: the text of a stranger's error may hold the password.
            raise Unavailable(f"{asked} raised {type(error).__name__}") from error
        try:
            if not isinstance(conninfo, str):
                raise TypeError(f"{type(conninfo).__name__}, not a string")
            check(conninfo)
        except (TypeError, ValueError) as error:
            raise Unavailable(f"{asked} returned: {error}") from error
        return conninfo


def check(conninfo: object) -> None:
    """Refuse what cannot be a conninfo, without I/O and without a look at the environment.

    Raises:
        TypeError: neither a string nor a callable nor None.
        ValueError: what is wrong, and what would be right.
    """
    if conninfo is None or callable(conninfo):
        return
    if not isinstance(conninfo, str):
        raise TypeError(f"conninfo is a string or a callable that returns one, not {type(conninfo).__name__}")
    if _nats_address.is_nats(conninfo):
        _nats_address.parse(conninfo)
    elif not _is_embedded(conninfo):
        _parse(conninfo)


def resolve(conninfo: Conninfo | None = None) -> Target:
    """The target of `conninfo`, or of the environment as it is now.

    Raises:
        TypeError, ValueError: as `check` does.
    """
    if conninfo is not None:
        check(conninfo)
        return Target(conninfo, "the argument")
    for variable in ("HOTCONFIG_DATABASE_URL", "DATABASE_URL"):
        if url := _environment(variable):
            try:
                check(url)
            except ValueError as error:
                raise ValueError(f"{variable}: {error}") from None
            return Target(url, variable)
    return Target(DEFAULT, "the default, since neither HOTCONFIG_DATABASE_URL nor DATABASE_URL is set")


def schema_name(schema: str | None = None) -> str:
    """The schema of hotconfig's tables: `schema`, or HOTCONFIG_SCHEMA, or public.

    Raises:
        ValueError: PostgreSQL does not take the name, or it makes too long a channel.
    """
    source = "schema"
    if schema is None:
        source, schema = "HOTCONFIG_SCHEMA", _environment("HOTCONFIG_SCHEMA") or "public"
    if not schema:
        raise ValueError(f"{source} is empty: leave it out for public")
    if "\0" in schema:
        raise ValueError(f"{source} {schema!r} contains a NUL")
    if len(schema.encode()) > 53:
        # "hotconfig:" and 53 bytes are 63, the longest channel: a longer one would abort every edit.
        raise ValueError(f"{source} {schema!r} is longer than the 53 bytes that fit into the name of a channel")
    return schema


def channel(schema: str) -> str:
    """Where the installation in `schema` notifies: two in one database must not wake each other."""
    return "hotconfig" if schema == "public" else f"hotconfig:{schema}"


def profile_name(profile: str | None = None) -> str | None:
    """The profile to follow: `profile`, or HOTCONFIG_PROFILE, or None for the default one.

    Raises:
        ValueError: `profile` is blank.
    """
    if profile is None:
        return _environment("HOTCONFIG_PROFILE")
    if not profile.strip():
        raise ValueError("profile is empty: leave it out for the default one")
    return profile


def _environment(variable: str) -> str | None:
    # Set to nothing means not set, as Compose files and CI do it; a secret's file ends with a newline.
    return os.environ.get(variable, "").strip() or None


def _is_embedded(conninfo: str) -> bool:
    return conninfo.startswith("embedded:")


def _embedded_path(conninfo: str) -> str | None:
    # embedded:///path is what a habit of URLs writes for embedded:/path.
    return re.sub(r"\A/+", "/", conninfo.removeprefix("embedded:")) or None


def _name(function: Callable[[], str]) -> str:
    return f"{getattr(function, '__qualname__', type(function).__qualname__)}()"


@functools.lru_cache(maxsize=8)  # libpq takes 50 us, and a start asks three times
def _parse(conninfo: str) -> Mapping[str, str]:
    """libpq's parameters of a string or URL. No error repeats a part that may be of a password."""
    url = re.match(r"([a-zA-Z]\w*)(\+\w+)?://", conninfo)
    if url is None:
        return MappingProxyType(_parse_keywords(conninfo))
    scheme, driver = url.groups()
    if scheme not in ("postgres", "postgresql"):
        raise ValueError(f"{scheme}:// is no address of PostgreSQL; {_EXAMPLE}")
    rest = conninfo[url.end() :]
    # The query starts behind the password, which may contain a question mark.
    credentials = re.match(r"[^/@]*@", rest)
    start = credentials.end() if credentials else 0
    mark = rest.find("?", start)
    base, query = (rest, "") if mark < 0 else (rest[:mark], rest[mark + 1 :])
    # An @ further on, but in a parameter's value, means that a password was cut at its @ or /, and
    # what follows would be taken, and shown, for a host or database.
    if "@" in re.sub(r"=[^&]*", "", rest[start:]):
        raise ValueError(f"the URL has an @ where none can be; {_ENCODE}; {_EXAMPLE}")
    if driver is not None:
        query = _without_driver(query)
    params, complaint = _libpq(f"postgresql://{base}?{query}")
    if complaint:
        unknown = re.search(r'invalid URI query parameter: "(.*)"', complaint)
        if unknown and "pass" not in query:  # else it may be the rest of one that was cut at its &
            raise ValueError(f"the URL has a parameter {unknown[1]!r}, which libpq does not know; {_EXAMPLE}")
        raise ValueError(f"the URL cannot be read; {_ENCODE}; {_EXAMPLE}")
    ports = [port for port in params.get("port", "").split(",") if port]
    if not all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in ports):
        raise ValueError(f"the URL's port is not a number from 1 to 65535; {_ENCODE}; {_EXAMPLE}")
    return MappingProxyType(params)


def _parse_keywords(conninfo: str) -> dict[str, str]:
    if "=" not in conninfo:
        raise ValueError(f"neither a URL nor key=value pairs; {_EXAMPLE}")
    params, complaint = _libpq(conninfo)
    if complaint:
        unknown = re.search(r'invalid connection option "(.*)"', complaint)
        if unknown and "pass" not in conninfo:
            raise ValueError(f"{unknown[1]!r} is no parameter of libpq; {_EXAMPLE}")
        raise ValueError(
            "the key=value pairs cannot be read: a value with spaces is written key='a b', "
            f"and a quote or backslash in it \\' or \\\\; {_EXAMPLE}"
        )
    if re.search(r"://|=", params.get("dbname", "")):
        # libpq would take it for a conninfo of its own, with a password that we do not see.
        raise ValueError(f"dbname holds another address: give that one alone; {_EXAMPLE}")
    return params


def _libpq(conninfo: str) -> tuple[dict[str, str], str]:
    """The parameters, or libpq's complaint; not as an error, which would stay attached to ours with the password."""
    try:
        found = conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        return {}, str(error)
    except UnicodeError:
        return {}, "not UTF-8"
    return {name: str(value) for name, value in found.items() if value is not None}, ""


def _without_driver(query: str) -> str:
    """A SQLAlchemy URL's query in libpq's terms; what only SQLAlchemy or its driver know is dropped."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    params: dict[str, str] = {}
    hosts: list[str] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        name = ASYNCPG_NAMES.get(key, key)
        if name == "host":
            hosts.append(value)
        elif key == "ssl":
            params[name] = ASYNCPG_SSL.get(value.lower(), value)
        elif name in known:
            params[name] = value
    if hosts:
        # SQLAlchemy repeats host=name:port, libpq has two lists.
        pairs = [re.fullmatch(r"(.*?)(?::(\d+))?", host) for host in ",".join(hosts).split(",")]
        params["host"] = ",".join(pair[1] for pair in pairs if pair)
        if any(pair[2] for pair in pairs if pair):
            params["port"] = ",".join(pair[2] or "" for pair in pairs if pair)
    return urlencode(params, quote_via=quote)


_EXAMPLE = "right is for example postgresql://user:password@host:5432/database, or embedded:/path"
_ENCODE = "in user and password @ / % and the like are written %40 %2F %25"
