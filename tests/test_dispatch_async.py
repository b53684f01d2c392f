"""Coroutine functions as subscribers, and the asynchronous iterator."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from dispatching import PATIENCE, Numbers, Source, Step, numbers, run

from hotconfig._dispatch import Changes


def test_a_coroutine_function_runs_on_its_loop(source: Source) -> None:
    """It is scheduled on the loop that it was subscribed from, one call at a time, with the latest after it."""

    async def main() -> None:
        told: asyncio.Queue[tuple[Step, threading.Thread]] = asyncio.Queue()
        may_return = asyncio.Event()

        async def callback(change: Step) -> None:
            await told.put((change, threading.current_thread()))
            await may_return.wait()

        source.subscribe(callback)
        source.put(a=1)
        first, thread = await told.get()
        assert thread is threading.current_thread()
        source.put(a=2)
        source.put(a=3)
        source.flush()  # also in its own loop
        assert told.empty()
        may_return.set()
        second, _ = await told.get()
        assert numbers([first, second]) == [(0, 1), (1, 3)]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def _coroutine(*_: object) -> None: ...


class _Asynchronous:
    async def __call__(self, change: Step) -> None: ...

    async def method(self, change: Step) -> None: ...


class _Built(_Asynchronous):
    def __init__(self, change: Step) -> None: ...


@pytest.mark.parametrize(
    "callback",
    [
        _coroutine,
        functools.partial(_coroutine, 1),
        _Asynchronous(),
        _Asynchronous().method,
        functools.partial(_Asynchronous()),
    ],
)
def test_a_coroutine_function_needs_a_running_loop(source: Source, callback: Callable[[Step], object]) -> None:
    """Without one there is nowhere to run it: TypeError, with the ways out."""
    with pytest.raises(TypeError, match=r"async def.*changes\(\).*plain function"):
        source.subscribe(callback)


def test_a_class_is_a_plain_function(source: Source) -> None:
    """A class whose instances are asynchronous callables is itself called like any other."""
    source.subscribe(_Built)


def test_a_coroutine_that_raises_is_logged(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as told and is called for the next change."""

    async def main() -> None:
        told: asyncio.Queue[Step] = asyncio.Queue()

        async def broken(change: Step) -> None:
            await told.put(change)
            raise ValueError("broken on purpose")

        source.subscribe(broken)
        source.put(a=1)
        first = await told.get()
        source.put(a=2)
        assert numbers([first, await told.get()]) == [(0, 1), (1, 2)]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert "broken on purpose" in caplog.text


def test_a_cancelled_coroutine_subscription_is_not_called(source: Source) -> None:
    """A cancelled subscription is not called, also if the call was on its way to the loop."""

    async def main() -> None:
        told: list[Step] = []

        async def callback(change: Step) -> None:
            told.append(change)

        subscription = source.subscribe(callback)
        source.put(a=1)
        source.flush()  # scheduled; the loop is here and cannot run it yet
        subscription.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert told == []

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_closed_loop_cancels_quietly(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """When the loop is gone, so is the subscription, and nothing is logged."""

    async def main() -> None:
        source.subscribe(_coroutine)

    asyncio.run(main())
    source.put(a=1)
    source.flush()
    assert source.dispatcher._subscribers == ()
    assert caplog.records == []


def test_changes_are_iterated(source: Source) -> None:
    """Each step leads from what was yielded last to the newest."""

    async def main() -> None:
        changes = source.dispatcher.changes()
        source.put(a=1)
        first = await anext(changes)
        source.put(a=2)
        source.put(a=3)
        second = await anext(changes)
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        await asyncio.to_thread(source.put, a=4)
        assert numbers([first, second, await waiting]) == [(0, 1), (1, 3), (3, 4)]

    run(main)


def test_changes_made_outside_of_a_loop(source: Source) -> None:
    """An iterator can be made before there is a loop, and loses nothing until it is iterated."""
    changes = source.dispatcher.changes()
    source.put(a=1)

    async def main() -> None:
        async for change in changes:
            assert numbers([change]) == [(0, 1)]
            break

    run(main)


def test_changes_with_on_and_since(source: Source) -> None:
    """`on` and `since` mean what they mean for subscribe."""
    built = source.latest
    source.put(a=1)

    async def main() -> None:
        changes = source.dispatcher.changes(on=lambda c: c.a, since=built)
        first = await anext(changes)
        source.put(b=1)
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        source.put(b=2)
        source.put(a=2)
        second = await waiting
        assert numbers([first, second]) == [(0, 1), (1, 2)]
        assert second.paths == ("a", "b")

    run(main)


def test_a_cancelled_wait_loses_nothing(source: Source) -> None:
    """After a wait that was cancelled, the next one gets the change."""

    async def main() -> None:
        changes = source.dispatcher.changes()
        for a in range(1, 20):
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
            if a % 2:
                waiting.cancel()
                source.put(a=a)
            else:
                source.put(a=a)
                waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert numbers([await anext(changes)]) == [(a - 1, a)]

    run(main)


def test_changes_end_with_the_client(source: Source) -> None:
    """Closing ends an iteration that waits, and one that has not begun."""

    async def main() -> None:
        changes, idle = source.dispatcher.changes(), source.dispatcher.changes()
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        await asyncio.to_thread(source.dispatcher.close, PATIENCE)
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert [change async for change in idle] == []

    run(main)


def test_aclose_ends_changes(source: Source) -> None:
    """aclose() and the end of `async with` end the iteration, also one that waits elsewhere."""

    async def main() -> None:
        async with source.dispatcher.changes() as changes:
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await waiting
        await changes.aclose()
        source.put(a=1)
        assert [change async for change in changes] == []

    run(main)


def test_dropped_changes_are_forgotten(source: Source) -> None:
    """An iterator that was left with `break` costs nothing when it is gone."""
    changes = source.dispatcher.changes()
    gone = weakref.ref(changes)
    del changes
    gc.collect()
    assert gone() is None


def test_changes_of_a_closed_loop(source: Source) -> None:
    """Waking an iterator whose loop is gone does no harm."""
    changes: Changes[Numbers] = source.dispatcher.changes()
    source.put(a=1)

    async def main() -> None:
        await anext(changes)

    run(main)
    source.put(a=2)
