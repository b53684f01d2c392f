"""Rows about the application: it forks, its listener is slow, somebody publishes nonsense, it closes the client."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time

from benchmarks.trouble.cell import Cell, Trial, in_seconds, seconds, until
from benchmarks.trouble.subject import DEFAULT, DoesNotApply

CHILD = 10.0
"""Seconds that the child of a fork has to see a change."""

SLEEP = 3.0
"""Seconds that a listener sleeps."""

NONSENSE = "not a number"

OUTCOMES = "last good value", "code default", "exception", "the bad value"
"""What a reader may get of a bad value, the best first."""


def forked(trial: Trial) -> Cell:
    """In a child that was forked from a started client: from a change until a read there shows it."""
    output, result = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(result, json.dumps(in_child(trial)).encode())
        finally:
            os._exit(0)
    os.close(result)
    time.sleep(0.5)
    published = trial.server.publish(2.0)
    if not select.select([output], [], [], 3 * CHILD)[0]:
        os.kill(child, signal.SIGKILL)
    answer = os.read(output, 4096)
    os.waitpid(child, 0)
    if not answer:
        return Cell("no: a read hangs", CHILD)
    seen, asked, after = json.loads(answer)
    if seen is not None:
        return Cell(f"yes, {in_seconds(max(0.0, seen - published))}", max(0.0, seen - published))
    if asked is None:
        return Cell("no", CHILD)
    if after is None:
        return Cell("no", CHILD, "nor after what its documentation asks of a child")
    return Cell("no", CHILD, f"{in_seconds(after - asked)} after the call that its documentation asks of a child")


def in_child(trial: Trial) -> tuple[float | None, float | None, float | None]:
    """When the change was seen; else when what the documentation asks for was done, and when it was seen then."""
    seen = trial.seen(2.0, CHILD)
    if seen is not None:
        return seen, None, None
    asked = time.monotonic()
    try:
        trial.subject.after_fork()
    except DoesNotApply:
        return None, None, None
    return None, asked, trial.seen(2.0, CHILD)


def slow_read(trial: Trial) -> Cell:
    """While a listener sleeps over one change: from the next one until a read shows it."""
    published, _ = two_changes(trial)
    return seconds(published, trial.seen(3.0, 4 * SLEEP), 4 * SLEEP)


def slow_listener(trial: Trial) -> Cell:
    """While a listener sleeps over one change: from the next one until another listener is told."""
    published, told = two_changes(trial)
    told.wait(4 * SLEEP)
    return seconds(published, told.at, 4 * SLEEP)


class Told(threading.Event):
    """A listener that waits for 3.0."""

    at: float | None = None

    def __call__(self, value: object) -> None:
        if value == 3.0:
            self.at = time.monotonic()
            self.set()


def two_changes(trial: Trial) -> tuple[float, Told]:
    """When the second one was made, which was while the first listener slept over the first; and the other listener."""
    asleep = threading.Event()
    told = Told()

    def sleeper(_: object) -> None:
        if not asleep.is_set():
            asleep.set()
            time.sleep(SLEEP)

    trial.subject.subscribe(sleeper)
    trial.subject.subscribe(told)
    trial.server.publish(2.0)
    if not asleep.wait(10.0):
        raise RuntimeError("the listener was not called")
    return trial.server.publish(3.0), told


def wrong_type(trial: Trial) -> Cell:
    """What a read gives when text was published where the application takes a number."""
    trial.heard.clear()
    trial.server.publish(NONSENSE)
    return after_nonsense(trial)


def malformed(trial: Trial) -> Cell:
    """What a read gives when half a document was published."""
    trial.heard.clear()
    refusal = trial.server.malformed()
    return after_nonsense(trial, refusal)


def after_nonsense(trial: Trial, refusal: str = "") -> Cell:
    """What reads give once the client has had the time for it, and whether the next good value arrives."""
    until(lambda: outcome(trial) != OUTCOMES[0], 2.0)
    found = outcome(trial)
    trial.heard.raised.clear()  # a read's: it is the outcome
    said = refusal or f"logs {trial.heard}"
    published = trial.server.publish(2.0)
    seen = trial.seen(2.0, 15.0)
    recovered = "never sees the next good one" if seen is None else f"next good one {in_seconds(seen - published)}"
    return Cell(found, OUTCOMES.index(found), f"{said}; {recovered}")


def outcome(trial: Trial) -> str:
    try:
        value = trial.subject.read()
    except Exception:  # noqa: BLE001  # whatever a client may raise
        return OUTCOMES[2]
    if value == DEFAULT:
        return OUTCOMES[1]
    # Text that says 1.0 is the last good value of a client that only knows text.
    return OUTCOMES[0] if str(value) == "1.0" else OUTCOMES[3]


def threads(trial: Trial) -> Cell:
    """The client's threads 1 s after close; the application's own are named for it."""
    why = ""
    try:
        trial.subject.close()
    except DoesNotApply as reason:
        why = str(reason)
    time.sleep(1.0)
    left = [each for each in threading.enumerate() if each not in trial.before]
    left = [each for each in left if not each.name.startswith("application")]
    return Cell(str(len(left)), len(left), why)
