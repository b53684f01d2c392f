"""pinned(): one turn of an agent reads one version, whatever is committed meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from editing import Editor
from feeds import Where

from hotconfig import Change, Client, Closed, Unavailable, _pin


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    with Client(where.url, heartbeat=1000) as client:
        yield client


def move(client: Client, editor: Editor) -> None:
    """Another version, that the client has."""
    client.wait_for(editor.tokens(editor.ask("SELECT llm_max_tokens + 1 FROM config_ai_infra")))


def test_current_stays(client: Client, editor: Editor) -> None:
    """Within, current() is the snapshot of the beginning; wait_for is not held; after it, the newest one."""
    with client.pinned() as pinned:
        assert pinned is client.current()
        move(client, editor)
        assert client.current() is pinned
        assert client.wait_for(editor.version()) is not pinned
    assert client.current().version == editor.version()
    assert client._fast is client.current()


def test_it_nests(client: Client, editor: Editor) -> None:
    """A function that pins may be called by one that has: the turn is still one version."""
    with client.pinned() as outer:
        move(client, editor)
        with client.pinned() as inner:
            assert inner is client.current() is outer
        assert client.current() is outer
    with client.pinned() as later:
        assert later is not outer


def test_it_is_per_client(client: Client, where: Where, editor: Editor) -> None:
    """Another client in the same thread goes on."""
    with Client(where.url, heartbeat=1000) as other, client.pinned() as pinned:
        move(client, editor)
        other.wait_for(editor.version())
        assert client.current() is pinned
        assert other.current().version == editor.version()


def test_other_threads_go_on(client: Client, editor: Editor) -> None:
    """A thread that is started within is not pinned."""
    seen: list[int] = []
    with client.pinned():
        move(client, editor)
        thread = threading.Thread(target=lambda: seen.append(client.current().version))
        thread.start()
        thread.join()
    assert seen == [editor.version()]


def test_subscribers_are_not_pinned(client: Client, editor: Editor) -> None:
    """A callback sees the newest snapshot, also when it was subscribed within."""
    seen: list[tuple[int, int]] = []
    told = threading.Event()

    def tell(change: Change) -> None:
        seen.append((change.new.version, client.current().version))
        told.set()

    with client.pinned():
        client.subscribe(tell)
        move(client, editor)
        assert told.wait(timeout=10)
    assert seen == [(editor.version(), editor.version())]


def test_tasks_inherit_it(client: Client, editor: Editor) -> None:
    """A task that is made within is pinned, also in to_thread, and for as long as the pin is; one beside it is not."""

    async def turn(pinned: asyncio.Event, go_on: asyncio.Event) -> None:
        with client.pinned() as cfg:
            pinned.set()
            await go_on.wait()
            assert client.current() is cfg
            assert await asyncio.create_task(read()) is cfg
            assert await asyncio.to_thread(client.current) is cfg
            straggler = asyncio.create_task(read_late())
            await asyncio.sleep(0)
        assert client.current() is not cfg
        left.set()
        assert await straggler is not cfg

    async def read() -> object:
        return client.current()

    async def read_late() -> object:
        await left.wait()
        return client.current()

    async def main() -> None:
        pinned, go_on = asyncio.Event(), asyncio.Event()
        turning = asyncio.create_task(turn(pinned, go_on))
        await pinned.wait()
        await asyncio.to_thread(move, client, editor)
        assert client.current().version == editor.version()
        go_on.set()
        await turning

    left = asyncio.Event()
    asyncio.run(main())
    assert client._fast is not None


def test_it_may_be_left_in_another_context(client: Client, editor: Editor) -> None:
    """An async generator that is closed by another task than began it does not raise, and unpins."""

    async def answers() -> AsyncIterator[int]:
        with client.pinned() as cfg:
            while True:
                yield cfg.version

    async def main() -> None:
        turn = answers()
        await asyncio.create_task(anext(turn))  # type: ignore[arg-type]
        await asyncio.create_task(turn.aclose())  # type: ignore[attr-defined]

    asyncio.run(main())
    move(client, editor)
    assert client._fast is client.current()
    assert client.current().version == editor.version()


def test_two_that_take_turns_in_one_context(client: Client, editor: Editor) -> None:
    """The first to be entered may be the first to be left: the other one stays pinned."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(client.pinned())
    pinned = second.enter_context(client.pinned())
    move(client, editor)

    first.close()
    assert client.current() is pinned
    second.close()
    assert client.current() is not pinned
    assert _pin._pins.get() == ()


def test_a_context_that_outlives_its_pins_keeps_none(client: Client) -> None:
    """Pins that are left elsewhere are dropped by the next one."""
    here = contextvars.copy_context()
    for _ in range(3):
        stack = ExitStack()
        here.run(stack.enter_context, client.pinned())
        contextvars.Context().run(stack.close)
    assert len(here[_pin._pins]) == 1


def test_what_raises_within_unpins(client: Client) -> None:
    """The exception passes through."""
    with pytest.raises(ZeroDivisionError), client.pinned():
        raise ZeroDivisionError
    assert client._fast is not None


def test_it_does_not_lock_others_out(client: Client) -> None:
    """While somebody has pinned, current() of everybody else still takes no lock."""
    reading = threading.Thread(target=client.current)
    with client.pinned(), client._lock:
        reading.start()
        reading.join(timeout=20)
        assert not reading.is_alive()


def test_it_starts_the_client() -> None:
    """A client that cannot start raises on entering, and is not left pinned."""
    client = Client("postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable), client.pinned():
        raise AssertionError
    assert client._pinned == 0


def test_a_closed_client_cannot_be_pinned(client: Client) -> None:
    """Only current() serves the last snapshot on."""
    client.close()
    with pytest.raises(Closed), client.pinned():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_within_is_pinned(client: Client) -> None:
    """The turn goes on in the child, with its version."""
    with client.pinned() as pinned:
        child = os.fork()
        if child == 0:
            os._exit(0 if client.current() is pinned else 1)
        assert os.waitpid(child, 0)[1] == 0
