"""A client's start: who starts it and when, what a failed start leaves behind, what it follows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Connect
from editing import Editor, eventually, threads
from feeds import Where

import hotconfig
from hotconfig import Client, HotConfigError, Snapshot, Unavailable
from hotconfig._api import default
from hotconfig._wire import Wire

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


class Talker(Snapshot):
    greeting: str


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    """Not started."""
    client = Client(where.url, heartbeat=1000)
    yield client
    client.close()


# ---- start


def test_the_constructor_does_no_io() -> None:
    """A client of a server that is not there can be made, asked for its status and closed."""
    client = Client(NOWHERE)

    assert client.status().state == "new"
    assert threads() == []
    client.close()


async def one_change(client: Client) -> None:
    client.changes()


FIRST_USES: list[Callable[[Client], object]] = [
    lambda client: client.current(),
    lambda client: client.pinned().__enter__(),
    lambda client: client.subscribe(print),
    lambda client: asyncio.run(one_change(client)),
    lambda client: client.wait_for(1),
    lambda client: client.start(),
    lambda client: client.__enter__(),
]


@pytest.mark.parametrize("use", FIRST_USES)
def test_the_first_use_starts_it(client: Client, where: Where, use: Callable[[Client], object]) -> None:
    """Each way to use a client starts it, with one connection and one thread."""
    use(client)

    assert client.status().state == "live"
    assert len(where.readers()) == 1
    assert [thread.name for thread in threads() if "dispatcher" not in thread.name] == ["hotconfig-active"]


@pytest.mark.parametrize("use", FIRST_USES)
def test_the_first_use_raises_what_start_raises(use: Callable[[Client], object]) -> None:
    """Whatever starts it has the errors of start(), and leaves no thread behind."""
    client = Client(NOWHERE)

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        use(client)

    assert threads() == []
    assert client.status().state == "new"


def test_start_again_changes_nothing(client: Client, where: Where) -> None:
    """start() on a started client is a no-op."""
    client.start()
    before = where.readers()

    assert client.start() is client

    assert where.readers() == before


def test_first_uses_at_once_start_once(client: Client, where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads use a client for the first time: one connection is made, all get the same snapshot."""
    connects: list[object] = []
    connect = where.connection.connect

    def noted(*args: Any, **rest: Any) -> object:
        connects.append(args)
        return connect(*args, **rest)

    monkeypatch.setattr(where.connection, "connect", noted)
    barrier = threading.Barrier(8)

    def use(_: int) -> Snapshot:
        barrier.wait(timeout=10)
        return client.current()

    with ThreadPoolExecutor(8) as pool:
        snapshots = set(map(id, pool.map(use, range(8))))

    assert len(connects) == len(where.readers()) == len(snapshots) == 1


def test_first_uses_at_once_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another thread's start gets its error, too, and does not wait for an attempt of its own."""
    client = Client(NOWHERE)
    attempts: list[object] = []
    waiting = threading.Event()
    connect = Wire.connect

    def slow(*args: Any, **rest: Any) -> Wire:
        attempts.append(args)
        waiting.wait(timeout=10)
        return connect(*args, **rest)

    monkeypatch.setattr(Wire, "connect", slow)
    with ThreadPoolExecutor(4) as pool:
        uses = [pool.submit(client.current) for _ in range(4)]
        eventually(lambda: client._starting is not None and len(client._starting._condition._waiters) == 3)  # type: ignore[attr-defined]
        waiting.set()
        errors = [use.exception(timeout=10) for use in uses]

    assert [type(error) for error in errors] == [Unavailable] * 4
    assert len(attempts) == 1


def test_a_failed_start_is_tried_again(database: str, editor: Editor) -> None:
    """After a failed start the next use connects, to wherever the callable says then."""
    address = NOWHERE
    client = Client(lambda: address)
    with pytest.raises(Unavailable):
        client.current()
    address = database

    assert client.current().profile.name == "default"

    client.close()
    eventually(lambda: editor.readers() == [])


def test_a_start_that_cannot_make_its_thread_leaves_nothing(
    client: Client, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no thread can be started the session is closed, and the next use tries again."""

    def no_more_threads(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            client.current()
    eventually(lambda: where.readers() == [])
    assert client.status().state == "new"

    assert client.current().profile.name == "default"
    assert client.status().state == "live"


def test_the_environment_is_read_at_start(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """Address, profile and schema may be set between the constructor and the first use."""
    client = Client()
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", where.url)
    monkeypatch.setenv("HOTCONFIG_PROFILE", "default")
    monkeypatch.setenv("HOTCONFIG_SCHEMA", "public")

    with client:
        assert client.status().document == "profile/default"


def test_the_module_starts_with_one_set_of_arguments(where: Where) -> None:
    """start() again with equal arguments changes nothing; with others it says to close() first, then it obeys."""
    url = where.url
    with hotconfig.start(url, heartbeat=500) as client:
        assert hotconfig.start(url, heartbeat=500) is client
        with pytest.raises(HotConfigError, match=r"close\(\) first"):
            hotconfig.start(url, heartbeat=600)
        assert client._settings.heartbeat == 500
    with hotconfig.start(url, heartbeat=600):
        assert hotconfig.status().healthy


def test_threads_are_daemons_with_names(client: Client) -> None:
    """A stack dump says whose threads these are, and none keeps the process alive."""
    client.subscribe(print)

    assert {thread.name for thread in threads()} == {"hotconfig-active", "hotconfig-dispatcher"}
    assert all(thread.daemon for thread in threads())


# ---- what it follows


def test_a_document_of_your_own(where: Where, editor: Editor) -> None:
    """A model and the document that it validates; fields that the model does not know are ignored."""
    editor.publish("talker", '{"greeting": "hello", "newer": 1}')
    with Client(where.url, model=Talker, document="talker") as client:
        assert client.current().greeting == "hello"
        assert client.status().document == "talker"
        version = editor.publish("talker", '{"greeting": "good day"}')
        assert client.wait_for(version) == Talker(version=version, greeting="good day")


def test_a_model_of_your_own_for_a_profile(where: Where, connect: Connect) -> None:
    """A model may take the part of a profile that it needs."""

    class Endpoint(hotconfig.Section):
        llm_endpoint: str

    class Mine(Snapshot):
        ai_infra: Endpoint

    with Client(where.url, model=Mine, profile="default") as client:
        assert client.current().ai_infra.llm_endpoint == "databricks-claude-sonnet-4-5"


def test_changes_end_to_end(where: Where, editor: Editor) -> None:
    """`async for` yields each step, and ends when the client is closed in another thread."""

    async def follow() -> None:
        with Client(where.url, heartbeat=1000) as client:
            changes = client.changes(on=lambda c: c.ai_infra.llm_temperature)
            editor.tokens(5)
            first = editor.temperature(0.6)
            assert (await anext(changes)).new.version == first
            last = editor.temperature(0.4)
            assert (await anext(changes)).new.version == last
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.to_thread(client.close)
            with pytest.raises(StopAsyncIteration):
                await waiting

    asyncio.run(follow())


def test_the_default_client_is_the_module(database: str) -> None:
    """The module's functions are the default client's methods, nothing in between; current() is a twin."""
    with hotconfig.start(database):
        assert hotconfig.current() is default.current()
    assert hotconfig.current() is default.current()
    assert hotconfig.status == default.status
