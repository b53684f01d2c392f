"""Subscribers are kept apart from each other: one that raises, blocks or is slow."""

from __future__ import annotations

import contextvars
import logging
import threading

import pytest
from dispatching import PATIENCE, Source, Step, Stuck, in_thread, numbers


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
    assert "dispatching.Stuck" in record.getMessage()
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
