"""Waiting for subscribers, closing, and forking."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

import pytest
from dispatching import PATIENCE, Source, Step, Stuck, numbers, run

from hotconfig.errors import Closed


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
    assert "dispatching.Stuck" in record.getMessage()
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

    async def main() -> int:
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
        source.put(a=1)
        assert numbers([await told.get(), await waiting]) == [(0, 1), (0, 1)]
        return pid

    pid = run(main)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
