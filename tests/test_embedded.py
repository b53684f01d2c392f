"""The embedded server: who starts it and who stops it. Processes are real and die for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from programs import started

from hotconfig import _cluster, embedded
from hotconfig.conninfo import resolve


def running(directory: Path) -> bool:
    return (directory / "postmaster.pid").exists()


def postmaster(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().split()[0])


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT current_database()").fetchone() == ("hotconfig",)


USER = """
import sys
from hotconfig import _cluster, embedded
embedded.start(sys.argv[1])
print("started", flush=True)
sys.stdin.readline()
"""


def process(code: str, directory: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """A Python process that runs `code`."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, str(directory)]
    return started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def finish(child: subprocess.Popen[str]) -> str:
    """Let a process go on to its end; what it says until then."""
    return child.communicate("\n")[0].strip()


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
import pytest
from hotconfig import _cluster, embedded
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
import pytest
from hotconfig import _cluster, embedded
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
from hotconfig import _cluster, embedded
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
from pathlib import Path
import psycopg
import pytest
import hotconfig
from hotconfig import embedded, migrations

class Talker(hotconfig.Snapshot):
    voice: str

class Witness(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), "while the server runs:", Path(sys.argv[1], "postmaster.pid").exists())

logging.getLogger("hotconfig").addHandler(Witness())
logging.getLogger("hotconfig").setLevel(logging.INFO)
conninfo = "embedded:" + sys.argv[1]
migrations.upgrade(conninfo)
with psycopg.connect(embedded.start(sys.argv[1])) as connection:
    connection.execute("SELECT config_publish('talker', '{\\"voice\\": \\"alto\\"}')")
client = hotconfig.Client(conninfo, model=Talker, document="talker")
assert client.current().voice == "alto"
"""
    with process(code, directory) as user:
        started, stopped = finish(user).splitlines()
    assert started.startswith("talker: started")
    assert stopped == "talker: stopped while the server runs: True"
    assert not running(directory)


def test_a_directory_of_an_application_s_own() -> None:
    """It is beside the one that is used if none is named, of whichever version, and each application has another."""
    talker = embedded.directory("talker")
    assert talker.parent == _cluster.default_directory(18).parent == embedded.directory("other").parent
    assert talker.name == "talker"
    for name in ("a/b", "", "/tmp/x"):
        with pytest.raises(ValueError, match="Invalid name"):
            embedded.directory(name)
