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
    trials: int = 1
    bound: float = 60.0
    """Seconds that a trial may take, with the starting of its processes."""
    tolerance: float = 0.0
    """By how much more is still equal."""


TICK = 0.1  # seconds: what a busy machine may add to a wait

ROWS: dict[str, Row] = {
    "missed": Row("a change missed in a drop of 0.1 s: seen after", link_rows.missed(0.1), 5, 90, TICK),
    "missed1": Row("the same, the server away for 1 s", link_rows.missed(1.0), 5, 90, TICK),
    "missed10": Row("the same, the server away for 10 s", link_rows.missed(10.0), 5, 90, TICK),
    "told": Row("a drop, and the server answers at once: logged or raised", link_rows.told),
    "failing": Row("requests in 5 s that are answered with 503", link_rows.failing, bound=90),
    "refused": Row("attempts in 5 s to connect, all refused", link_rows.refused, bound=90),
    "forked": Row("a forked child sees later changes", application_rows.forked, tolerance=TICK),
    "slow_read": Row(
        "a listener sleeps 3 s: the next change is read after", application_rows.slow_read, tolerance=TICK
    ),
    "slow_listener": Row(
        "a listener sleeps 3 s: another is told of the next after", application_rows.slow_listener, tolerance=TICK
    ),
    "at_rest": Row("connections made in 60 s in which nothing happens", link_rows.at_rest, bound=120),
    "after_rest": Row("a change after such 60 s: seen after", link_rows.after_rest, bound=120, tolerance=TICK),
    "silent": Row("a half-open socket: a change is seen after", link_rows.silent, bound=180, tolerance=TICK),
    "wrong_type": Row("text published for a number: a reader gets", application_rows.wrong_type),
    "malformed": Row("half a document published: a reader gets", application_rows.malformed),
    "close": Row("close() while the server cannot be reached", link_rows.close, tolerance=TICK),
    "threads": Row("threads left 1 s after close()", application_rows.threads),
}
