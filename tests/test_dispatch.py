"""Who is told, of what, in which order."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref

from dispatching import PATIENCE, Numbers, Source, Step, Stuck, in_thread, numbers

from hotconfig.snapshot import Change


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
