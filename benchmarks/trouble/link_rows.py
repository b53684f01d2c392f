"""Rows about the link: it drops, it is refused, it falls silent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from benchmarks.trouble.cell import Cell, Trial, seconds, until

MISSED = 30.0
"""Seconds that a change that was missed is waited for; longer than any client here waits between two attempts."""

SILENT = 120.0
"""Seconds that a silent link is waited for."""

OBSERVED = 5.0
"""Seconds during which requests are counted, of an outage that lasts twice as long."""

REST = 30.0
"""Seconds during which nothing happens."""


def missed(down: float) -> Callable[[Trial], Cell]:
    """From when the server can be reached again until a read shows the change that was made while it could not."""

    def missed(trial: Trial) -> Cell:
        trial.server.refuse()
        trial.server.cut()
        trial.server.publish(2.0)
        time.sleep(down)
        return seconds(trial.server.accept(), trial.seen(2.0, MISSED), MISSED)

    return missed


def told(trial: Trial) -> Cell:
    """What is logged, and what reads and threads raise, when the stream is dropped and the server answers at once."""
    before = trial.server.taken()
    trial.heard.clear()
    trial.server.cut()

    def connected_again() -> bool:
        trial.shows(1.0)
        return trial.server.taken() > before

    again = until(connected_again, 15.0)
    time.sleep(1.0)
    note = "" if again else "does not connect again within 15 s"
    return Cell(str(trial.heard), trial.heard.errors, note)


def failing(trial: Trial) -> Cell:
    """Requests for the configuration while each is answered with an error: 503; PostgreSQL refuses the connection."""
    trial.server.fail(True)
    before = trial.server.asked()
    trial.server.cut()
    time.sleep(OBSERVED)
    count = trial.server.asked() - before
    time.sleep(OBSERVED)
    trial.server.fail(False)
    return unless_given_up(trial, count)


def refused(trial: Trial) -> Cell:
    """Attempts to connect while they are refused."""
    attempts: list[float] = []

    def hear(name: str, arguments: tuple[object, ...]) -> None:
        if name == "socket.connect" and arguments[1:] and str(trial.server.port) in str(arguments[1]):
            attempts.append(time.monotonic())

    sys.addaudithook(hear)
    trial.server.refuse()
    trial.server.cut()
    time.sleep(OBSERVED)
    count = len(attempts)
    time.sleep(OBSERVED)
    trial.server.accept()
    return unless_given_up(trial, count)


def unless_given_up(trial: Trial, count: int) -> Cell:
    """A client that never comes back asks seldom, too: it is not compared."""
    for value in range(2, 2 + round(MISSED)):  # each a change that is made while the server can be reached
        trial.server.publish(float(value))
        if trial.seen(float(value), 1.0) is not None:
            return Cell(str(count), count)
    return Cell(f"{count}, then gives up", None, f"sees none of the changes of the {MISSED:g} s after")


def at_rest(trial: Trial) -> Cell:
    """Connections that are made while nothing happens, and what is logged."""
    before = trial.server.taken()
    time.sleep(REST)
    count = trial.server.taken() - before
    return Cell(str(count), count, f"logs {trial.heard}" if count else "")


def silent(trial: Trial) -> Cell:
    """From when the link falls silent, with nothing closed, until a read shows a change that was made after that."""
    trial.server.silence()
    began = trial.server.publish(2.0)
    return seconds(began, trial.seen(2.0, SILENT), SILENT)


def close(trial: Trial) -> Cell:
    """How long closing takes when the server has been out of reach for 2 s."""
    trial.server.refuse()
    trial.server.cut()
    time.sleep(2.0)
    began = time.monotonic()
    trial.subject.close()
    return seconds(began, time.monotonic(), 0.0)
