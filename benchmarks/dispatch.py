"""dispatch: from the new snapshot to the last of 1,000 subscribers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.measure import Reach, Table, by_turns, figure
from benchmarks.place import Place
from hotconfig._dispatch import Dispatcher
from hotconfig.profile import ProfileConfig, default_profile
from hotconfig.snapshot import Change, changed_paths

SUBSCRIBERS = 1000
ROUNDS = 200
On = Callable[[ProfileConfig], object]
# Of each subscriber one of its own, as in a program.
FILTERS: dict[str, Callable[[], On | None]] = {
    "on= what differs": lambda: lambda config: config.ai_infra,
    "on= what does not differ": lambda: lambda config: config.prompts,
    "no filter": lambda: None,
}
_now = time.perf_counter


def run(_: Place) -> Table:
    """The plain loop compares and calls in the thread that has the new snapshot, and isolates nobody."""
    table = Table("dispatch", f"{SUBSCRIBERS:,} subscribers; the last one, without a filter, says when it is called")
    for name, filters in FILTERS.items():
        limit, ours = f"{name}: plain loop", f"{name}: hotconfig"
        with _dispatcher(filters) as dispatched:
            samples = by_turns({limit: _loop(filters), ours: dispatched}, ROUNDS, warm_up=ROUNDS // 10)
        table.figures.append(figure(limit, "limit", "us", samples[limit]))
        table.figures.append(figure(ours, "hotconfig", "us", samples[ours], limit=samples[limit]))
        if name.startswith("on="):
            table.reaches.append(Reach(name, 2.0, table.median(ours) / table.median(limit)))
    table.notes.append(
        "Without a filter the loop does nothing but call; hotconfig, for each subscriber, also compares what it was "
        "told last, and takes the lock that lets another thread take over from one that blocks."
    )
    return table


def _loop(filters: Callable[[], On | None]) -> Callable[[], float]:
    snapshots = _snapshots()
    old = next(snapshots)
    called: list[float] = []
    subscribers: list[tuple[On | None, Callable[[Change], object]]]
    subscribers = [(filters(), lambda _: None) for _ in range(SUBSCRIBERS - 1)]
    subscribers.append((None, lambda _: called.append(_now())))

    def sample() -> float:
        nonlocal old
        new = next(snapshots)
        began = _now()
        change = Change(old, new, changed_paths(old, new))
        for on, callback in subscribers:
            if on is None or on(old) != on(new):
                callback(change)
        old = new
        return called.pop() - began

    return sample


@contextmanager
def _dispatcher(filters: Callable[[], On | None]) -> Iterator[Callable[[], float]]:
    snapshots = _snapshots()
    latest = next(snapshots)
    told = threading.Event()
    called: list[float] = []

    def last(_: Change) -> None:
        called.append(_now())
        told.set()

    def sample() -> float:
        nonlocal latest
        new = next(snapshots)
        began = _now()
        latest = new
        dispatcher.wake()
        told.wait()
        told.clear()
        return called.pop() - began

    dispatcher = Dispatcher(lambda: latest)
    for _ in range(SUBSCRIBERS - 1):
        dispatcher.subscribe(lambda _: None, on=filters())
    dispatcher.subscribe(last)
    try:
        yield sample
    finally:
        dispatcher.close()


def _snapshots() -> Iterator[ProfileConfig]:
    """Each differs in one field from the one before, and shares no object with it, as those of two documents."""
    default = default_profile({})
    for n in itertools.count():
        infra = default.ai_infra.model_copy(update={"llm_max_tokens": n + 1})
        text = default.model_copy(update={"ai_infra": infra}).model_dump_json()
        yield ProfileConfig.model_validate_json(text)
