"""Who is told, when, of what: subscribers, their order and how they are kept apart."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import itertools
import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotconfig._dispatch import Changes, Dispatcher
from hotconfig.errors import Closed
from hotconfig.snapshot import Change, Snapshot

PATIENCE = 20.0  # seconds; reached only by a test that fails


class Numbers(Snapshot):
    a: int = 0
    b: int = 0


Step = Change[Numbers]


class Source:
    """A snapshot that can be replaced, and the dispatcher that tells of it."""

    def __init__(self) -> None:
        self.latest = Numbers()
        self.dispatcher = Dispatcher(lambda: self.latest)
        self.dispatcher.slow_after = PATIENCE  # nothing is late unless a test says so
        self.subscribe = self.dispatcher.subscribe

    def put(self, **values: int) -> Numbers:
        """Replace it, as the listener thread does; the version counts up."""
        version = self.latest.version + 1
        self.latest = self.latest.model_copy(update={"version": version, **values})
        self.dispatcher.wake()
        return self.latest

    def make_late(self) -> None:
        """Let the time pass that the callback which is running may take."""
        with self.dispatcher._lock:
            assert self.dispatcher._caller is not None
            self.dispatcher._caller.deadline = 0.0
            self.dispatcher._changed.notify_all()

    def flush(self) -> None:
        assert self.dispatcher.flush(PATIENCE)


class Stuck:
    """A callback that says when it is entered and returns when it may."""

    def __init__(self) -> None:
        self.entered: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self.may_return = threading.Event()

    def __call__(self, change: Step) -> None:
        self.entered.put(change)
        assert self.may_return.wait(PATIENCE)

    def change(self) -> Step:
        return self.entered.get(timeout=PATIENCE)


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.dispatcher.close(PATIENCE)


def numbers(changes: list[Step]) -> list[tuple[int, int]]:
    return [(change.old.a, change.new.a) for change in changes]


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# ---- who is told what


def test_a_change_leads_from_the_last_to_the_newest(source: Source) -> None:
    """A subscriber gets the snapshot it was given last, the newest, and where they differ."""
    told: list[Step] = []
    source.subscribe(told.append)
    first = source.latest
    second = source.put(a=1)
    source.flush()
    third = source.put(a=2, b=3)
    source.flush()
    assert told == [Change(first, second, ("a",)), Change(second, third, ("a", "b"))]


def test_nothing_is_told_at_the_start(source: Source) -> None:
    """Subscribing alone calls nobody, since the snapshot is the current one."""
    told: list[Step] = []
    source.put(a=1)
    source.subscribe(told.append)
    source.flush()
    assert told == []


def test_another_version_of_the_same_content_is_no_change(source: Source) -> None:
    """Without a differing path nobody is called, and the next `old` is the last `new`."""
    told: list[Step] = []
    source.subscribe(told.append)
    one = source.put(a=1)
    source.flush()
    source.put()
    source.flush()
    source.put(a=2)
    source.flush()
    assert numbers(told) == [(0, 1), (1, 2)]
    assert told[1].old is one


def test_since_a_snapshot_that_is_no_longer_current(source: Source) -> None:
    """Who built from an older snapshot is called at once."""
    built = source.latest
    newest = source.put(a=1)
    told: list[Step] = []
    source.subscribe(told.append, since=built)
    source.flush()
    assert told == [Change(built, newest, ("a",))]


def test_on_filters(source: Source) -> None:
    """With `on`, only a difference in what it returns counts, and `old` is what was given last."""
    told: list[Step] = []
    source.subscribe(told.append, on=lambda c: c.a)
    source.put(b=1)
    source.flush()
    source.put(b=2)
    source.flush()
    source.put(a=1)
    source.flush()
    assert [(c.old.b, c.new.b, c.paths) for c in told] == [(0, 2, ("a", "b"))]


def test_in_subscription_order(source: Source) -> None:
    """Every change reaches subscribers in the order in which they subscribed."""
    told: list[str] = []
    for name in "abcdef":
        source.subscribe(lambda _, name=name: told.append(name))  # type: ignore[misc]
    for a in range(1, 4):
        source.put(a=a)
        source.flush()
    assert "".join(told) == "abcdef" * 3


def test_order_holds_when_a_change_comes_in_the_middle(source: Source) -> None:
    """A later subscriber never learns of a snapshot before an earlier one."""
    told: list[tuple[str, int]] = []
    stuck = Stuck()
    source.subscribe(lambda change: told.append(("a", change.new.a)))
    source.subscribe(stuck)
    source.subscribe(lambda change: told.append(("c", change.new.a)))
    source.put(a=1)
    stuck.change()
    source.put(a=2)
    stuck.may_return.set()
    source.flush()
    assert told == [("a", 1), ("c", 1), ("a", 2), ("c", 2)]


def test_who_was_busy_gets_one_step(source: Source) -> None:
    """Versions that came while a callback ran are one change, without a gap."""
    stuck, told = Stuck(), list[Step]()
    source.subscribe(stuck)
    source.subscribe(told.append)
    source.put(a=1)
    first = stuck.change()
    for a in range(2, 50):
        source.put(a=a)
    stuck.may_return.set()
    assert numbers([first, stuck.change()]) == [(0, 1), (1, 49)]
    source.flush()
    assert stuck.entered.empty()
    assert numbers(told) == [(0, 1), (1, 49)]


def test_never_a_gap_nor_a_step_back(source: Source) -> None:
    """Whatever the timing, each `old` is the last `new`, versions rise, and the last one arrives."""
    told: list[list[Step]] = [[] for _ in range(8)]
    for each in told[:4]:
        source.subscribe(each.append)
    for a in range(1, 300):
        source.put(a=a)
        if a % 50 == 0 and a // 50 <= 4:
            source.subscribe(told[3 + a // 50].append)
    source.flush()
    for each in told:
        assert all(one.new is two.old for one, two in itertools.pairwise(each))
        assert all(change.old.version < change.new.version for change in each)
        assert each[-1].new is source.latest


def test_subscribing_while_it_changes_misses_nothing(source: Source) -> None:
    """Between reading the current snapshot and being subscribed no change is lost."""
    stop = threading.Event()

    def write() -> None:
        a = 0
        while not stop.is_set():
            a += 1
            source.put(a=a)

    writer = threading.Thread(target=write)
    writer.start()
    told: list[list[Step]] = []
    try:
        for _ in range(50):
            each: list[Step] = []
            told.append(each)
            source.subscribe(each.append, since=source.latest)
    finally:
        stop.set()
        writer.join()
    source.put(a=-1)
    source.flush()
    for each in told:
        assert each[-1].new is source.latest
        assert all(one.new is two.old for one, two in itertools.pairwise(each))
        assert all(change.old.version < change.new.version for change in each)


# ---- apart from each other


def test_a_callback_that_raises_delays_nobody(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, counts as told, and the others are told all the same."""
    given: list[Step] = []
    told: list[Step] = []

    def broken(change: Step) -> None:
        given.append(change)
        raise ValueError("broken on purpose")

    source.subscribe(broken)
    source.subscribe(told.append)
    for a in (1, 2):
        source.put(a=a)
        source.flush()
    assert numbers(given) == numbers(told) == [(0, 1), (1, 2)]
    (record,) = caplog.records  # the second time is counted, not logged
    assert (record.name, record.levelno) == ("hotconfig", logging.ERROR)
    assert "broken" in record.getMessage()
    assert record.exc_info is not None


def test_repeats_are_counted(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """When a subscriber is well again, the log says how often it was not."""
    caplog.set_level(logging.INFO, logger="hotconfig")

    def fragile(change: Step) -> None:
        if change.new.a < 4:
            raise KeyError(change.new.a)

    source.subscribe(fragile)
    for a in range(1, 6):
        source.put(a=a)
        source.flush()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "well again after: raised KeyError (3x)" in caplog.text


def test_sys_exit_in_a_callback_ends_only_the_call(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """A SystemExit is logged like any other exception, and subscribers are told of later changes."""
    told: list[Step] = []
    source.subscribe(lambda _: exit())  # noqa: PLR1722
    source.subscribe(told.append)
    source.put(a=1)
    source.flush()
    source.put(a=2)
    source.flush()
    assert numbers(told) == [(0, 1), (1, 2)]
    assert "SystemExit" in caplog.text


def test_an_on_that_raises_counts_as_a_difference(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once with its traceback, and the callback is called."""
    told: list[Step] = []
    source.subscribe(told.append, on=lambda c: 1 // c.b)
    for a in (1, 2):
        source.put(a=a)
        source.flush()
    assert numbers(told) == [(0, 1), (1, 2)]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "`on`" in record.getMessage()
    assert record.exc_info is not None


def test_a_slow_callback_is_named_and_left_behind(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """The others go on without it; it is called again when it has returned, with the latest."""
    stuck, told = Stuck(), list[Step]()
    source.subscribe(told.append)
    source.subscribe(stuck)
    source.subscribe(told.append)
    source.put(a=1)
    first = stuck.change()
    source.make_late()
    source.flush()
    for a in (2, 3):
        source.put(a=a)
        source.flush()
    assert numbers(told) == [(0, 1), (0, 1), (1, 2), (1, 2), (2, 3), (2, 3)]
    assert stuck.entered.empty()
    stuck.may_return.set()
    assert numbers([first, stuck.change()]) == [(0, 1), (1, 3)]
    source.dispatcher.close(PATIENCE)
    (record,) = caplog.records
    assert "test_dispatch.Stuck" in record.getMessage()
    assert record.levelno == logging.WARNING


def test_each_stuck_callback_costs_one_thread(source: Source) -> None:
    """Beside the stuck ones there are two threads, and two again when they have returned."""
    stuck = [Stuck() for _ in range(5)]
    for each in stuck:
        source.subscribe(each)
    told = threading.Event()
    source.subscribe(lambda _: told.set())
    source.put(a=1)
    for each in stuck:
        each.change()
        source.make_late()
    assert told.wait(PATIENCE)
    source.flush()
    late = [worker.thread for worker in source.dispatcher._workers if worker.late]
    assert len(late) == 5
    for _ in range(20):
        source.put(a=source.latest.a + 1)
        source.flush()
    assert len(source.dispatcher._workers) == 7
    for each in stuck:
        each.may_return.set()
    for thread in late:
        thread.join(PATIENCE)
    assert len(source.dispatcher._workers) == 2


def test_callbacks_run_on_a_named_daemon_thread(source: Source) -> None:
    """Not on the thread that publishes, and not so that the process cannot end."""
    threads: list[threading.Thread] = []
    source.subscribe(lambda _: threads.append(threading.current_thread()))
    source.put(a=1)
    source.flush()
    assert [(thread.name, thread.daemon) for thread in threads] == [("hotconfig-dispatcher", True)]


def test_callbacks_run_in_a_context_of_their_own(source: Source) -> None:
    """What is pinned where somebody subscribes or publishes is not pinned in the callback."""
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("mine")
    seen: list[str] = []
    source.subscribe(lambda _: seen.append(variable.get()))
    source.put(a=1)
    source.flush()
    assert seen == ["default"]


def test_no_thread_without_a_subscriber(source: Source) -> None:
    """Publishing starts no thread as long as nobody wants to be told."""
    source.put(a=1)
    source.dispatcher.changes()
    assert not source.dispatcher._workers


def test_a_callback_may_subscribe_cancel_and_publish(source: Source) -> None:
    """No lock is held while it runs."""
    told: list[Step] = []

    def busy(change: Step) -> None:
        in_thread(lambda: source.subscribe(told.append).cancel())  # also from another thread
        source.subscribe(told.append)
        subscription.cancel()
        source.put(a=2)

    subscription = source.subscribe(busy)
    source.put(a=1)
    source.flush()
    source.flush()  # of what busy() has published
    assert numbers(told) == [(1, 2)]


# ---- cancel


def test_cancel_ends_it(source: Source) -> None:
    """A cancelled subscription is not called; to cancel it again does nothing."""
    told: list[Step] = []
    subscription = source.subscribe(told.append)
    source.put(a=1)
    source.flush()
    subscription.cancel()
    subscription.cancel()
    source.put(a=2)
    source.flush()
    assert numbers(told) == [(0, 1)]


def test_a_subscription_is_a_context_manager(source: Source) -> None:
    """It is cancelled when it is left."""
    told: list[Step] = []
    with source.subscribe(told.append):
        source.put(a=1)
        source.flush()
    source.put(a=2)
    source.flush()
    assert numbers(told) == [(0, 1)]


def test_cancel_does_not_wait_for_the_call(source: Source) -> None:
    """Cancelling a callback that runs returns at once, and no call follows."""
    stuck = Stuck()
    subscription = source.subscribe(stuck)
    source.put(a=1)
    stuck.change()
    subscription.cancel()
    source.put(a=2)
    stuck.may_return.set()
    source.flush()
    source.dispatcher.close(PATIENCE)
    assert stuck.entered.empty()


def test_cancelled_by_an_earlier_subscriber(source: Source) -> None:
    """One that is cancelled while its turn comes is not called any more."""
    told: list[Step] = []
    source.subscribe(lambda _: later.cancel())
    later = source.subscribe(told.append)
    source.put(a=1)
    source.flush()
    assert told == []


def test_cancelled_while_its_on_runs(source: Source) -> None:
    """No call starts after cancel() has returned, also if `on` was being asked."""
    told: list[Step] = []

    def on(numbers: Numbers) -> int:
        in_thread(subscription.cancel)
        return numbers.a

    subscription = source.subscribe(told.append, on=on)
    source.put(a=1)
    source.flush()
    source.dispatcher.close(PATIENCE)
    assert told == []


def test_a_dropped_subscription_stays(source: Source) -> None:
    """It is the dispatcher that holds the callback, not who subscribed."""
    told: list[Step] = []
    source.subscribe(told.append)
    gc.collect()
    source.put(a=1)
    source.flush()
    assert numbers(told) == [(0, 1)]


def test_a_cancelled_callback_is_forgotten(source: Source) -> None:
    """What a cancelled callback holds can be collected."""

    class Holder:
        def __call__(self, change: Step) -> None: ...

    holder = Holder()
    gone = weakref.ref(holder)
    subscription = source.subscribe(holder)
    source.put(a=1)
    source.flush()
    subscription.cancel()
    del subscription, holder
    source.put(a=2)
    source.subscribe(lambda _: None)
    source.flush()
    gc.collect()
    assert gone() is None


def test_the_garbage_collector_may_cancel(source: Source) -> None:
    """A __del__ that cancels does not deadlock when it runs while the lock is held."""
    subscription = source.subscribe(lambda _: None)
    with source.dispatcher._lock:
        subscription.cancel()
    source.flush()


# ---- flush and close


def test_flush_waits_for_a_callback(source: Source) -> None:
    """It returns when everybody has been told, and says if that took too long."""
    stuck = Stuck()
    source.subscribe(stuck)
    source.put(a=1)
    stuck.change()
    assert not source.dispatcher.flush(0.0)
    stuck.may_return.set()
    source.flush()


def test_flush_does_not_wait_for_a_late_callback(source: Source) -> None:
    """A stuck callback cannot hold up a test that overrides a value."""
    source.dispatcher.slow_after = 0.0
    stuck = Stuck()
    source.subscribe(stuck)
    source.put(a=1)
    source.flush()
    stuck.may_return.set()


def test_flush_in_a_callback_does_not_deadlock(source: Source) -> None:
    """There it says at once that not everybody has been told."""
    flushed: list[bool] = []
    source.subscribe(lambda _: flushed.append(source.dispatcher.flush(PATIENCE)))
    source.put(a=1)
    source.flush()
    assert flushed == [False]


def test_close_ends_everything(source: Source) -> None:
    """After it nobody is called, nobody can subscribe, and the threads have ended."""
    told: list[Step] = []
    source.subscribe(told.append)
    source.flush()
    threads = [worker.thread for worker in source.dispatcher._workers]
    source.dispatcher.close(PATIENCE)
    source.dispatcher.close(PATIENCE)
    source.put(a=1)
    assert [thread for thread in threads if thread.is_alive()] == []
    assert told == []
    with pytest.raises(Closed, match=r"start\(\)"):
        source.subscribe(told.append)
    with pytest.raises(Closed, match=r"start\(\)"):
        source.dispatcher.changes()


def test_close_names_who_does_not_return(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that outlasts the timeout is named in a warning."""
    stuck = Stuck()
    source.subscribe(stuck)
    source.put(a=1)
    stuck.change()
    source.dispatcher.close(0.0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "test_dispatch.Stuck" in record.getMessage()
    stuck.may_return.set()


def test_close_in_a_callback(source: Source) -> None:
    """A callback may close what calls it."""
    closed = threading.Event()

    def last(_: Step) -> None:
        source.dispatcher.close(PATIENCE)
        closed.set()

    source.subscribe(last)
    source.put(a=1)
    assert closed.wait(PATIENCE)


def test_a_thread_that_cannot_start(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next change tries again."""
    told: list[Step] = []

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        source.subscribe(told.append)
    assert "cannot start" in caplog.text
    source.put(a=1)
    source.flush()
    assert numbers(told) == [(0, 1)]


# ---- coroutines


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


# ---- the asynchronous iterator


def run(main: Callable[[], Any]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), PATIENCE)

    asyncio.run(limited())


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


# ---- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_subscriptions_survive_a_fork(source: Source) -> None:
    """In the child they are told of changes, though threads and locks were the parent's."""
    told: list[Step] = []
    stuck = Stuck()
    source.subscribe(told.append)
    subscription = source.subscribe(stuck)
    source.put(a=1)
    stuck.change()
    with source.dispatcher._lock:  # as if another thread held it
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                source.dispatcher.after_fork()
                stuck.may_return.set()
                source.put(a=2)
                # Who was just being told is told again, from what it knew before.
                if source.dispatcher.flush(PATIENCE):
                    again = numbers([stuck.change()])
                    status = 0 if (numbers(told), again) == ([(0, 1), (1, 2)], [(0, 2)]) else 2
            finally:
                os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    stuck.may_return.set()
    subscription.cancel()
    source.put(a=3)
    source.flush()
    assert numbers(told) == [(0, 1), (1, 3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_loop_stays_with_the_parent(source: Source) -> None:
    """In the child, coroutine subscriptions and iterators that run on the parent's loop have ended."""

    async def main() -> None:
        told: asyncio.Queue[Step] = asyncio.Queue()
        source.subscribe(told.put)
        changes = source.dispatcher.changes()
        fresh = source.dispatcher.changes()
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                source.dispatcher.after_fork()
                ended = changes._ended and not fresh._ended and source.dispatcher._subscribers == ()
                source.put(a=9)
                status = 0 if ended else 2
            finally:
                os._exit(status)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        source.put(a=1)
        assert numbers([await told.get(), await waiting]) == [(0, 1), (0, 1)]

    run(main)
