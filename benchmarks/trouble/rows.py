"""The rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.trouble import application_rows, link_rows
from benchmarks.trouble.cell import Cell, Trial


@dataclass(frozen=True, slots=True)
class Row:
    """Of several trials the median is shown."""

    title: str
    measure: Callable[[Trial], Cell]
    lasts: float = 10.0
    """About how many seconds, with all trials, for the slowest product; for the order in which rows are begun."""
    trials: int = 1
    tolerance: float = 0.0
    """By how much more is still equal."""


TICK = 0.1  # seconds: what a busy machine may add to a wait

ROWS: dict[str, Row] = {
    "missed": Row(
        "a change missed in a drop of 0.1 s: seen after",
        link_rows.missed(0.1),
        lasts=35,
        trials=5,
        tolerance=TICK,
    ),
    "missed1": Row(
        "a change missed while the server was away for 1 s: seen after",
        link_rows.missed(1.0),
        lasts=35,
        trials=5,
        tolerance=TICK,
    ),
    "missed10": Row(
        "a change missed while the server was away for 10 s: seen after",
        link_rows.missed(10.0),
        lasts=100,
        trials=5,
        tolerance=TICK,
    ),
    "told": Row("a drop, and the server answers at once: errors logged or raised", link_rows.told),
    "failing": Row("requests in 5 s that are answered with an error", link_rows.failing, lasts=80, trials=3),
    "refused": Row("attempts in 5 s to connect, all refused", link_rows.refused, lasts=50, trials=3),
    "forked": Row("a forked child sees later changes", application_rows.forked, lasts=20, tolerance=TICK),
    "slow_read": Row(
        "a listener sleeps 3 s: the next change is read after", application_rows.slow_read, tolerance=TICK
    ),
    "slow_listener": Row(
        "a listener sleeps 3 s: another is told of the next after", application_rows.slow_listener, tolerance=TICK
    ),
    "at_rest": Row("connections made in 30 s in which nothing happens", link_rows.at_rest, lasts=32),
    "silent": Row("a half-open socket: a change is seen after", link_rows.silent, lasts=120, trials=3, tolerance=TICK),
    "wrong_type": Row("text published for a number: a reader gets", application_rows.wrong_type),
    "malformed": Row("half a document published: a reader gets", application_rows.malformed),
    "close": Row("close() while the server cannot be reached", link_rows.close, tolerance=TICK),
    "threads": Row("threads left 1 s after close()", application_rows.threads),
}
