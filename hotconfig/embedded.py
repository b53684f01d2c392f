"""The embedded PostgreSQL behind `embedded:`: one server for all processes that use its directory.

The first process starts it and the last one stops it. When the last one is killed the server stays, and the next
process to come takes it over. Nobody can reach it but who started it, and root. For Linux and macOS, with the extra
`embedded`.
"""

# Who the last one is, the kernel knows: each holds a shared flock on a file beside the data directory, which goes with
# the process, also after `kill -9`; whoever leaves and then gets that file for itself alone was the last. (A list of
# process ids on disk, the usual way, keeps the dead for ever and so never stops the server.)
#
# A forked child shares the parent's open file and with it the lock: the two count as one until both have closed it, so
# neither stops the server under the other. That is why a lock is given up by closing the file, never by LOCK_UN or by
# turning it exclusive, which would speak for both.
#
# Who can reach the server is said in hotconfig/_cluster.py.

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from hotconfig._cluster import Cluster, bin_path, default_directory
from hotconfig.errors import Unavailable

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bin_path", "directory", "leave", "start"]

DATABASE = "hotconfig"

# Held for every start and stop in this process; guards _joined.
_lock = threading.Lock()
# Data directory -> the open file that carries our shared lock.
_joined: dict[Path, int] = {}

if sys.platform != "win32":
    # No process forks in the middle of a start or stop: the child would inherit the turn.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def start(path: str | Path | None = None, *, version: int = 18) -> str:
    """The libpq URL of database `hotconfig` on the server of directory `path`, which then runs.

    This process uses the server until `leave()` or its end. Call it again before each connect: a server
    that died meanwhile is then started again.

    Args:
        path: made at first use. Default: in the user's data directory, as root in /var/lib/hotconfig.
        version: of PostgreSQL, 16 or 18; a directory keeps the one it was made for.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
        Unavailable: the server does not start; with the last lines of its log.
    """
    if sys.platform == "win32":
        raise Unavailable("the embedded server needs Linux or macOS: name a server of your own")
    directory = default_directory(version) if path is None else _resolved(path)
    Cluster.check(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _lock, _turn(directory):
            if directory in _joined:
                cluster = Cluster.at(directory, version)
                cluster.ensure_running()
            else:
                cluster = _join(directory, version)
    except OSError as error:
        raise Unavailable(f"the embedded server in {directory}: {error}") from error
    return cluster.url(DATABASE)


def directory(application: str) -> Path:
    """Where an application's own server can have its data: `start(directory("talker"))`, or `embedded:` and this.

    In the user's data directory, as root in /var/lib/hotconfig, which the user who runs the server for root can enter.

    Raises:
        ValueError: the name has a slash, or is none.
        MissingExtra: the extra `embedded` is not installed.
    """
    return default_directory(0).with_name(application)


def leave(path: str | Path | None = None) -> None:
    """End this process's use of the server in `path`, or of every one; the last user stops it.

    Does nothing for a server that is not used. Called at exit anyway.
    """
    with _lock:
        for directory in list(_joined) if path is None else [_resolved(path)]:
            if directory in _joined:
                _leave(directory)


atexit.register(leave)


def _join(directory: Path, version: int) -> Cluster:
    _joined[directory] = users = _open(directory, "users")
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        cluster = Cluster.at(directory, version)
        cluster.ensure_running()
        _ensure_database(cluster)
    except BaseException:
        _stop_if_last(directory)
        raise
    return cluster


def _ensure_database(cluster: Cluster) -> None:
    try:
        with psycopg.connect(cluster.url("postgres"), autocommit=True, connect_timeout=10) as conn:
            query = "SELECT FROM pg_database WHERE datname = %s"
            if conn.execute(query, [DATABASE]).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        raise Unavailable(f"the embedded server in {cluster.directory}: {error}") from error


def _leave(directory: Path) -> None:
    if not directory.parent.exists():  # deleted with all that is in it, our lock files included
        os.close(_joined.pop(directory))
        return
    with _turn(directory):
        _stop_if_last(directory)


def _stop_if_last(directory: Path) -> None:
    os.close(_joined.pop(directory))
    users = _open(directory, "users")
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else is there
    finally:
        os.close(users)
    if (directory / "postmaster.pid").exists():
        Cluster.at(directory, version=18).stop()


@contextlib.contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of a directory."""
    turn = _open(directory, "turn")
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def _open(directory: Path, suffix: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(directory.with_name(f"{directory.name}.{suffix}"), flags, 0o600)


def _resolved(path: str | Path) -> Path:
    # One name for one directory: the lock files stand beside it.
    return Path(path).expanduser().resolve()
