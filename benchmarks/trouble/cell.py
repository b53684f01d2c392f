"""One cell of the table, and what measuring it takes: waiting, and hearing what an operator would."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.trouble.server import Server
from benchmarks.trouble.subject import Subject

POLL = 0.002
"""Seconds between two reads, where one waits for a value; when it takes long, a hundredth of that."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one product did in one row."""

    text: str
    value: float | None = None
    """What is compared, the smaller the better; None if the row does not apply."""
    note: str = ""
    awaited: bool = False
    """It did not happen: the value is how long it was waited for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A started client that has been told of 1.0, and its server."""

    subject: Subject
    server: Server
    heard: Heard
    before: frozenset[threading.Thread]
    """The threads that there were before the client was started."""

    def shows(self, value: float) -> bool:
        """Whether a read gives it; one that raises does not."""
        try:
            return float(str(self.subject.read())) == value
        except Exception as error:  # noqa: BLE001  # whatever a client may raise
            self.heard.raised.append(error)
            return False

    def seen(self, value: float, bound: float) -> float | None:
        """When a read first showed it, on the monotonic clock; None if not within `bound` seconds from now."""
        return until(lambda: self.shows(value), bound)


def until(true: Callable[[], object], bound: float) -> float | None:
    """When it was first true, on the monotonic clock; None if it was not within `bound` seconds from now."""
    began = time.monotonic()
    while True:
        if true():
            return time.monotonic()
        waited = time.monotonic() - began
        if waited > bound:
            return None
        time.sleep(max(POLL, waited / 100))


def seconds(began: float, ended: float | None, bound: float, note: str = "") -> Cell:
    """How long something took, or that it did not happen within `bound` seconds."""
    if ended is None:
        return Cell(f"not within {bound:g} s", bound, note, awaited=True)
    took = max(0.0, ended - began)
    return Cell(in_seconds(took), took, note)


def in_seconds(took: float) -> str:
    return f"{took:.3f} s" if took < 0.1 else f"{took:.1f} s"


@dataclass(slots=True)
class Heard:
    """What a program that logs warnings and errors gets to see of its client, from `clear` on."""

    records: list[logging.LogRecord] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)
    """By reads, and out of threads."""

    def listen(self) -> None:
        """From now on, in this process."""
        records = self.records

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                records.append(record)

        logging.getLogger().addHandler(Listener(logging.WARNING))

        def raised(arguments: threading.ExceptHookArgs) -> None:
            if arguments.exc_value is not None:
                self.raised.append(arguments.exc_value)

        threading.excepthook = raised

    def clear(self) -> None:
        self.records.clear()
        self.raised.clear()

    @property
    def errors(self) -> int:
        """Errors logged, and exceptions."""
        return sum(each.levelno >= logging.ERROR for each in self.records) + len(self.raised)

    @property
    def warnings(self) -> int:
        return sum(each.levelno == logging.WARNING for each in self.records)

    def __str__(self) -> str:
        errors, warnings = self.errors, self.warnings
        parts = [
            f"{count} {what}{'s' * (count != 1)}" for count, what in ((errors, "error"), (warnings, "warning")) if count
        ]
        return ", ".join(parts) or "nothing"
