"""Real PostgreSQL servers for the tests: each in a temporary directory, fast rather than safe."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Placeholder

from hotconfig import _cluster, migrations

# Nobody's data: what a power cut would cost is no more than a test run. full_page_writes stays on, since processes are
# killed here: without it a PostgreSQL 18 that had been promoted before did not recover from that once ("WAL contains
# references to invalid pages").
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "wal_level": "logical",  # for the tests of standbys and of logical replicas
    "timezone": "UTC",
}
PASSWORD = "postgres"

TEMPLATE = "hotconfig_template"

MEMORY = Path("/dev/shm")
ENOUGH = 2 << 30  # bytes


def binaries() -> Path:
    """Of the PostgreSQL that TEST_POSTGRES names: 18 or 16 of the wheel, or a version of Debian's."""
    version = int(os.environ.get("TEST_POSTGRES", "18"))
    if version in _cluster.PROGRAMS:
        return _cluster.bin_path(version)
    found = Path(f"/usr/lib/postgresql/{version}/bin")
    if not found.exists():
        raise pytest.UsageError(f"TEST_POSTGRES={version}: there is no {found}")
    return found


def new_directory() -> Path:
    """For servers: not pytest's, which the system user that runs a server for root cannot enter; to be removed."""
    # In memory if there is enough: ext4 makes files slowly where many have just been deleted (recently_deleted() in
    # fs/ext4/ialloc.c), and each test makes and deletes a database.
    parent = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH else Path("/tmp")
    path = Path(tempfile.mkdtemp(prefix="hotconfig-test-", dir=parent))
    path.chmod(0o755)
    return path


class Server:
    """A server of its own, with trust on its socket and a password on TCP, for what breaks servers."""

    def __init__(self, root: Path) -> None:
        self.bin = binaries()
        self.data = root / "data"
        self.sockets = root / "sockets"
        # PostgreSQL refuses root.
        self.account = _cluster.system_user() if _cluster.is_root() else None
        for directory in (self.data, self.sockets):
            self._make(directory)
        self.port = free_port()
        self._initialise()

    def follow(self, primary: Server) -> None:
        """Become a standby of it, which replicates asynchronously; what was here is gone."""
        shutil.rmtree(self.data)
        self._make(self.data)
        source = f"host={primary.sockets} port={primary.port} user=postgres"
        self.run("pg_basebackup", "-D", str(self.data), "-d", source, "-R", "-c", "fast", "--no-sync")

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-w", "-D", str(self.data))

    def _make(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(directory, self.account.pw_uid, self.account.pw_gid)

    def _initialise(self) -> None:
        subprocess.run(["cp", "-a", f"{_made(self.bin)}/.", self.data], check=True)

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A program of this PostgreSQL, as the user who runs the server."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        assert not check or done.returncode == 0, f"{program}: {done.stdout}{done.stderr}{self.log()}"
        return done

    def start(self) -> None:
        settings = SETTINGS | {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.sockets),
        }
        options = " ".join(f"--{name}={value}" for name, value in settings.items())
        command = ["pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.data / "log"), "-o", options]
        # The backends of a postmaster that was killed may still be about to notice.
        deadline = time.monotonic() + 10
        while self.run(*command, check=time.monotonic() > deadline).returncode != 0:
            time.sleep(0.05)

    def stop(self, mode: str = "fast") -> None:
        """As `pg_ctl stop` does; nothing if it is not running. Mode immediate is a crash."""
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data), check=False)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster: SIGKILL, SIGSTOP, SIGCONT."""
        pid = self.data / "postmaster.pid"
        if not pid.exists():
            raise ProcessLookupError(f"it does not run: {self.log()[-5000:]}")
        os.kill(int(pid.read_text().split()[0]), number)

    def log(self) -> str:
        log = self.data / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def url(self, database: str = "postgres") -> str:
        """Over the Unix socket, without a password."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets), safe='')}&port={self.port}"

    def tcp_url(self, database: str = "postgres") -> str:
        """Over TCP, with the password: for proxies, several hosts, and wrong passwords."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def psql(self, database: str, sql: str, *, check: bool = True) -> str:
        """The output of the real psql, fed `sql` statement by statement, as somebody types it.

        With check=False a failure is not an AssertionError; its message stands behind the output.
        """
        done = subprocess.run(
            [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)],
            check=False,
            input=sql,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        assert not check or done.returncode == 0, f"psql: {done.stderr}"
        return done.stdout.removesuffix("\n") if done.returncode == 0 else done.stdout + done.stderr

    def create_database(self, name: str, template: str = TEMPLATE) -> str:
        """The URL of a new copy of the template: migrated, with the default profile."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # Copying the files is faster than logging every page, as the default does.
            create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            connection.execute(create.format(Identifier(name), Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def seed(connection: psycopg.Connection) -> None:
    """Insert the default profile with plain SQL, as any client may."""
    from hotconfig.profile import default_profile

    default = default_profile({})
    row = connection.execute(
        "INSERT INTO config_profiles (name, description, is_default, created_by)"
        " VALUES (%s, %s, true, 'system') RETURNING id",
        [default.profile.name, default.profile.description],
    ).fetchone()
    assert row is not None
    for table, section in (
        ("config_ai_infra", default.ai_infra),
        ("config_genie_spaces", default.genie),
        ("config_mlflow", default.mlflow),
        ("config_prompts", default.prompts),
    ):
        values = {"profile_id": row[0], **section.model_dump()}
        connection.execute(
            SQL("INSERT INTO {} ({}) VALUES ({})").format(
                Identifier(table),
                SQL(", ").join(map(Identifier, values)),
                SQL(", ").join(map(Placeholder, values)),
            ),
            values,
        )


class Original(Server):
    """What the others are copies of, since initdb and the migrations take longer."""

    def _initialise(self) -> None:
        with tempfile.NamedTemporaryFile("w", dir="/tmp") as password:
            password.write(PASSWORD)
            password.flush()
            Path(password.name).chmod(0o644)
            self.run(
                *["initdb", "-D", str(self.data), "-U", "postgres", "--encoding=UTF8", "--no-locale", "--no-sync"],
                *["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password.name}"],
            )

    def create_template(self) -> None:
        """What every test starts with: hotconfig's tables, and the default profile of `hotconfig init`."""
        url = self.create_database(TEMPLATE, "template0")
        migrations.upgrade(url)
        with psycopg.connect(url) as connection:
            seed(connection)


@functools.cache
def _made(_: Path) -> Path:
    """The data of a server of these binaries, stopped when it had the template."""
    root = new_directory()
    atexit.register(shutil.rmtree, root)
    original = Original(root)
    original.start()
    try:
        original.create_template()
    finally:
        original.stop()
    return original.data


class Standby(Server):
    """A copy of another server that follows it."""

    def __init__(self, root: Path, primary: Server) -> None:
        self.primary = primary
        super().__init__(root)

    def _initialise(self) -> None:
        self.follow(self.primary)


@contextlib.contextmanager
def running(primary: Server | None = None) -> Iterator[Server]:
    """A server with the template, or a standby of `primary`; stopped and removed at the end."""
    root = new_directory()
    try:
        server = Standby(root, primary) if primary else Server(root)
        try:
            server.start()
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.signal(signal.SIGCONT)  # a test may have left it stopped
            server.stop("immediate")
    finally:
        shutil.rmtree(root)


@functools.cache
def version() -> str:
    done = subprocess.run([binaries() / "postgres", "--version"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def free_port() -> int:
    """One below those that the system gives to whoever connects, who could take it before a server does."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _environment() -> dict[str, str]:
    # PGHOST and the like of the developer mean another server.
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
