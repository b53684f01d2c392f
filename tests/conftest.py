"""One PostgreSQL for the session, a database of its own for every test; directories for embedded servers."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import editing
import psycopg
import pytest
import servers
from bounds import within
from dispatching import PATIENCE, Source
from editing import FOREVER, Editor, eventually
from feeds import bucket, lively, nats_server, own_nats, relay_process, where
from hooks import Hook, Hooks
from proxy import Proxy, proxied
from servers import PASSWORD, Server

from hotconfig import Client, embedded
from hotconfig._wire import Row, Wire
from hotconfig.admin import Admin

__all__ = ["bucket", "lively", "nats_server", "own_nats", "relay_process", "where", "within"]  # fixtures too

_numbers = itertools.count(1)
PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Psql(Protocol):
    def __call__(self, sql: str, *, check: bool = True) -> str: ...


class Connect(Protocol):
    def __call__(self, *, autocommit: bool = True, **params: str) -> psycopg.Connection: ...


def pytest_report_header() -> str:
    return f"server: {servers.version()}"


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and children inherit that: here Ctrl-C is tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's environment says where to connect, or as whom."""
    for variable in list(os.environ):
        if variable.startswith(("HOTCONFIG_", "PG")) or variable == "DATABASE_URL":
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def _threads_of_others() -> None:
    editing.others[:] = threading.enumerate()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that all tests share: to be left as it was found."""
    with servers.running() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server for this test alone, to be stopped, killed or reconfigured."""
    with servers.running() as server:
        yield server


@pytest.fixture
def database_name(server: Server) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    server.create_database(name)
    yield name
    server.drop_database(name)


@pytest.fixture
def database(server: Server, database_name: str) -> str:
    """The URL of a fresh database: migrated, with the default profile."""
    return server.url(database_name)


@pytest.fixture
def psql(server: Server, database_name: str) -> Psql:
    """Run SQL with the real psql, in another process, against the test's database."""

    def psql(sql: str, *, check: bool = True) -> str:
        return server.psql(database_name, sql, check=check)

    return psql


@pytest.fixture
def connect(database: str) -> Iterator[Connect]:
    """Open connections to the test's database, closed at its end; `params` are libpq's."""
    with ExitStack() as stack:

        def connect(*, autocommit: bool = True, **params: str) -> psycopg.Connection:
            conninfo = psycopg.conninfo.make_conninfo(database, **params)
            connection = psycopg.connect(conninfo, autocommit=autocommit)
            stack.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def enterable() -> Iterator[Path]:
    """A directory that the system user who runs an embedded server for root can enter."""
    path = servers.new_directory()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def _parent() -> Iterator[Path]:
    path = servers.new_directory()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def _made(_parent: Path) -> Path:
    embedded.start(_parent / "made")
    embedded.leave(_parent / "made")
    return _parent / "made"


@pytest.fixture
def fresh(_parent: Path) -> Iterator[Path]:
    """Where an embedded server's directory may be made."""
    path = Path(tempfile.mkdtemp(dir=_parent)) / "data"
    path.parent.chmod(0o755)
    yield path
    embedded.leave(path)
    with suppress(FileNotFoundError):  # unless a test has failed there is no server left
        os.kill(int((path / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


@pytest.fixture
def directory(fresh: Path, _made: Path) -> Path:
    """The directory of an embedded server that was used before; a copy is faster than initdb."""
    subprocess.run(["cp", "-a", _made, fresh], check=True)
    return fresh


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    """Not started."""
    client = Client(database, heartbeat=FOREVER)
    yield client
    client.close()


@pytest.fixture
def editor(connect: Connect) -> Editor:
    """Somebody who edits the test's database, and sees who reads it."""
    return Editor(connect(application_name="editor"))


@pytest.fixture
def admin(database: str) -> Iterator[Admin]:
    with Admin(database, actor="alice", note="a test") as admin:
        yield admin


# ---- update


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that readers send from now on."""
    sent: list[str] = []
    query = Wire.query

    def noted(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        sent.append(" ".join(statement.split()))
        return query(wire, statement, *params, **limits)

    monkeypatch.setattr(Wire, "query", noted)
    return sent


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    hooks = Hooks()
    query = Wire.query

    def hooked(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        fire(hooks.before, wire, statement)
        rows = query(wire, statement, *params, **limits)
        fire(hooks.after, wire, statement)
        return rows

    def fire(which: dict[str, Hook], wire: Wire, statement: str) -> None:
        for text in [text for text in which if text in statement]:
            which.pop(text)(wire, statement)

    monkeypatch.setattr(Wire, "query", hooked)
    return hooks


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.dispatcher.close(PATIENCE)


@pytest.fixture
def role(psql: Psql) -> Iterator[str]:
    """The name of a role that may log in and nothing else; roles are the server's and outlive a database."""
    name = f"role_{next(_numbers)}"
    psql(f"CREATE ROLE {name} LOGIN")
    yield name
    psql(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A link to the server that can be made bad."""
    with proxied(server.port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, database_name: str) -> str:
    """The URL of the test's database, through the proxy."""
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{proxy.port}/{database_name}"


@pytest.fixture
def pooler(server: Server, database_name: str) -> Iterator[Callable[[str], str]]:
    """Start a PgBouncer in a pool mode; the URL of the test's database through it. Its pool has one session."""
    if PGBOUNCER is None:
        pytest.skip("no pgbouncer here: apt-get install pgbouncer")
    with ExitStack() as stack:

        def start(mode: str) -> str:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hotconfig-pooler-", dir="/tmp")))
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            configuration = root / "pgbouncer.ini"
            configuration.write_text(f"""
                [databases]
                * = host=127.0.0.1 port={server.port} user=postgres password={PASSWORD}
                [pgbouncer]
                listen_addr = 127.0.0.1
                listen_port = {port}
                unix_socket_dir =
                auth_type = any
                pool_mode = {mode}
                default_pool_size = {1 if mode == "transaction" else 5}
            """)
            account = server.account
            if account is not None:
                os.chown(root, account.pw_uid, account.pw_gid)
                configuration.chmod(0o644)
            assert PGBOUNCER is not None
            process = subprocess.Popen(
                [PGBOUNCER, "-q", configuration],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
            )
            stack.callback(process.wait, timeout=10)
            stack.callback(process.send_signal, signal.SIGTERM)

            def answers() -> bool:
                with socket.socket() as client:
                    return client.connect_ex(("127.0.0.1", port)) == 0

            eventually(answers)
            return f"postgresql://postgres@127.0.0.1:{port}/{database_name}"

        yield start
