"""Fork: the child starts anew, the parent does not notice. Both with the client that the parent had started."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import psycopg
import pytest
from editing import FOREVER, Editor, eventually
from feeds import Where
from programs import started
from servers import Server

import hotconfig
from hotconfig import Change, Client, _fork
from hotconfig._feed import Beat, Published, Stop

T = TypeVar("T")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    with Client(where.url, heartbeat=1000) as client:
        yield client


class Child:
    """A forked child that runs a function; `result()` is what that returned."""

    def __init__(self, function: Callable[[], object]) -> None:
        receiver, sender = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                done = pickle.dumps(function())
            except BaseException:  # noqa: BLE001  # told by the parent
                done = pickle.dumps(ChildFailed(traceback.format_exc()))
            os.write(sender, done)
            os._exit(0)
        os.close(sender)
        self._receiver = os.fdopen(receiver, "rb")

    def result(self) -> object:
        with self._receiver:
            result = pickle.loads(self._receiver.read())
        os.waitpid(self.pid, 0)
        if isinstance(result, ChildFailed):
            raise result
        return result


class ChildFailed(Exception):
    """With the traceback of the child."""


def in_child(function: Callable[[], T]) -> T:
    result: T = Child(function).result()  # type: ignore[assignment]
    return result


def test_both_follow_changes(client: Client, where: Where, database: str, editor: Editor) -> None:
    """The child sees what is committed later; the parent's session is the one of before, whatever the child does."""
    (session,) = where.readers()
    version = editor.version()

    def use_it() -> tuple[str, float, int]:
        client.current()
        started = threading.Event()
        client.subscribe(lambda _: started.set())
        with psycopg.connect(database, autocommit=True) as connection:
            child_version = Editor(connection).temperature(0.1)
        temperature = client.wait_for(child_version).ai_infra.llm_temperature
        assert started.wait(timeout=10)
        client.close()
        client.start()
        return client.status().state, temperature, client.status().reconnects

    assert in_child(use_it) == ("live", 0.1, 0)

    assert client.wait_for(version + 1).ai_infra.llm_temperature == 0.1
    client.wait_for(editor.temperature(0.2))
    assert session in where.readers()
    assert client.status().reconnects == 0


def test_a_child_that_does_not_use_it_connects_nowhere(client: Client, where: Where, editor: Editor) -> None:
    """It has no thread and no session, and its end ends nothing of the parent's."""
    before = where.readers()

    names, status = in_child(lambda: ([thread.name for thread in threading.enumerate()], client.status().state))

    assert (names, status) == (["MainThread"], "new")
    assert where.readers() == before
    client.wait_for(editor.temperature(0.1))
    assert client.status().reconnects == 0


FORKS = """
import os, sys, hotconfig

hotconfig.subscribe(lambda _: None)
for use in (lambda: None, hotconfig.current):
    child = os.fork()
    if child == 0:
        use()
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
input()
hotconfig.wait_for(until=lambda c: c.ai_infra.llm_temperature == 0.1)
print(hotconfig.status().reconnects)
"""


def test_a_child_may_exit_as_programs_do(where: Where, editor: Editor) -> None:
    """With exit handlers, after use and without: the parent's session stays, and no exit takes long or complains."""
    with started(
        # Python 3.12 and later warn of a fork beside threads, which is what is tested.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"HOTCONFIG_DATABASE_URL": where.url},
    ) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["7\n", "7\n"]
        editor.temperature(0.1)
        output, errors = parent.communicate("\n", timeout=20)
    assert (output, errors) == ("0\n", "")
    assert parent.returncode == 0


def test_the_child_gives_up_the_parents_socket(client: Client) -> None:
    """Once it uses the client: else the session of a parent that is killed would live on with the child."""
    ((descriptor, identity),) = _fork._sockets.items()

    def use_it() -> tuple[bool, bool]:
        before = _fork._identity(descriptor) == identity
        client.current()
        return before, _fork._identity(descriptor) == identity

    assert in_child(use_it) == (True, False)


def test_a_connection_is_not_closed_by_a_child(where: Where, editor: Editor) -> None:
    """A feed that is dropped in the child, by the garbage collector or whomever, goes on in the parent."""
    stop = Stop()
    feed = where.feed(stop, heartbeat=FOREVER)
    with closing(stop), closing(feed):
        next(feed)
        in_child(feed.close)
        version = editor.temperature(0.1)
        item = feed.send(False)
        assert isinstance(item, Published)
        assert item.version == version


def test_a_listener_that_a_fork_copies_ends(where: Where, editor: Editor) -> None:
    """A green thread goes on in the child, where nothing is its own: it ends, and reads nothing of the parent's."""
    stop = Stop()
    feed = where.feed(stop, heartbeat=0.1)
    with closing(stop), closing(feed):
        next(feed)
        assert in_child(lambda: next(feed, "ended")) == "ended"
        version = editor.temperature(0.1)
        item = feed.send(False)
        while isinstance(item, Beat) and not isinstance(item, Published):
            item = feed.send(False)
        assert isinstance(item, Published)
        assert item.version == version


def test_subscriptions_are_inherited(client: Client, editor: Editor) -> None:
    """A callback of the parent's is called in the child for what changed since, once the child uses the client."""
    told: list[float] = []
    called = threading.Event()

    def tell(change: Change) -> None:
        told.append(change.new.ai_infra.llm_temperature)
        called.set()

    client.subscribe(tell)
    receiver, sender = os.pipe()

    def use_it() -> list[float]:
        os.read(receiver, 1)
        client.current()
        called.wait(timeout=10)
        return told

    child = Child(use_it)
    client.wait_for(editor.temperature(0.1))
    os.write(sender, b"\0")
    assert child.result() == [0.1]
    eventually(lambda: told == [0.1])
    os.close(receiver)
    os.close(sender)


def test_a_grandchild(client: Client, where: Where) -> None:
    """Forks of forks work, also over a generation that does not use the client."""
    (session,) = where.readers()

    def name() -> str:
        return client.current().profile.name

    assert in_child(lambda: in_child(name)) == "default"
    assert in_child(lambda: (name(), in_child(name), name())) == ("default",) * 3
    eventually(lambda: where.readers() == [session])


def test_a_closed_client_stays_closed_in_the_child(client: Client) -> None:
    """The last snapshot is inherited, and serves."""
    client.close()

    assert in_child(lambda: (client.status().state, client.current().version)) == ("closed", client.current().version)


def test_a_child_that_follows_something_else(where: Where) -> None:
    """A module client that is started for another profile in the child does not serve the parent's snapshot."""
    url = where.url
    with hotconfig.start(url):
        assert in_child(lambda: refused(url)) == "NoSuchProfile"


def refused(url: str) -> str:
    try:
        hotconfig.start(url, profile="x")
    except hotconfig.HotConfigError as error:
        return type(error).__name__
    return hotconfig.current().profile.name


def test_a_child_of_a_frozen_server(own_server: Server) -> None:
    """The first use blocks a second at most, then the inherited snapshot serves, stale; the child goes on trying."""
    with Client(own_server.url("hotconfig_template"), heartbeat=1000) as client:
        own_server.signal(signal.SIGSTOP)
        receiver, sender = os.pipe()

        def use_it() -> tuple[str, bool, str]:
            first = client.current()
            state = client.status().state
            os.write(sender, b"\0")
            eventually(lambda: client.status().healthy, timeout=40)
            return state, client.current() == first, client.status().state

        child = Child(use_it)
        os.read(receiver, 1)
        own_server.signal(signal.SIGCONT)
        assert child.result() == ("stale", True, "live")
        os.close(receiver)
        os.close(sender)


def test_a_fork_while_locks_are_held(client: Client) -> None:
    """Another thread may be inside any lock of the client's, which nobody would release in the child."""
    client.subscribe(print)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        dispatcher = client._dispatcher
        assert dispatcher is not None
        with client._lock, dispatcher._lock:
            held.set()
            release.wait(timeout=20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(timeout=10)

    def use_it() -> tuple[str, str]:
        used = client.current().profile.name, client.status().state
        client.close()
        return used

    assert in_child(use_it) == ("default", "live")
    release.set()
    holder.join()


def test_a_fork_while_another_thread_starts(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child does not wait for a thread that it does not have; it starts by itself."""
    connecting, go_on = threading.Event(), threading.Event()
    connect = where.connection.connect
    parent = os.getpid()

    def held(*args: object, **rest: object) -> object:
        if os.getpid() == parent:
            connecting.set()
            go_on.wait(timeout=20)
        return connect(*args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(where.connection, "connect", held)
    client = Client(where.url, heartbeat=1000)
    starter = threading.Thread(target=client.start)
    starter.start()
    assert connecting.wait(timeout=10)
    assert in_child(lambda: client.current().profile.name) == "default"
    go_on.set()
    starter.join()
    assert client.status().healthy
    client.close()


def test_forks_beside_a_busy_client(client: Client, editor: Editor) -> None:
    """Thirty forks at random moments of a client that is told of one change after the other: every child works."""
    client.subscribe(lambda _: None)
    ended = threading.Event()

    def edit() -> None:
        while not ended.is_set():
            editor.temperature(0.1)
            editor.temperature(0.2)

    busy = threading.Thread(target=edit)
    busy.start()
    try:
        for _ in range(30):
            assert in_child(lambda: client.current().profile.name) == "default"
    finally:
        ended.set()
        busy.join()
    assert client.status().reconnects == 0


def test_the_parent_does_not_wake_for_its_children(client: Client, editor: Editor) -> None:
    """A child that stops, or ends, what it inherited leaves the parent's wake-up socket alone."""
    run = client._run
    assert run is not None

    def use_it() -> None:
        client.current()
        client.close()

    in_child(client.close)
    in_child(use_it)

    with pytest.raises(BlockingIOError):
        run._stop._receiver.recv(1, 0x40)  # MSG_DONTWAIT
    client.wait_for(editor.temperature(0.1))


def test_another_program_is_no_child(client: Client, where: Where, editor: Editor) -> None:
    """subprocess leaves sessions and sockets alone, also through fork and exec."""
    before = where.readers()

    for preexec in (None, lambda: None):
        subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=preexec)

    client.wait_for(editor.temperature(0.1))
    assert where.readers() == before
    assert client.status().reconnects == 0


def name(url: str) -> str:
    """In a worker: of the client that it inherited, if it did."""
    if hotconfig.status().document_version is None:
        hotconfig.start(url)
    return hotconfig.current().profile.name


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(where: Where, editor: Editor, method: str) -> None:
    """A pool's workers use the module's client, whichever way they are started; the parent's goes on."""
    url = where.url
    with hotconfig.start(url, heartbeat=1000):
        (session,) = where.readers()
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(name, [url] * 4) == ["default"] * 4
        hotconfig.wait_for(editor.temperature(0.1))
        assert session in where.readers()
        assert hotconfig.status().reconnects == 0
