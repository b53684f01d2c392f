"""What the rows know of a product: its client, and the server that the client reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.trouble.link import Address

DEFAULT = -1.0
"""The application's own default, for clients whose reads take one."""


class DoesNotApply(Exception):
    """The product has nothing that the row could be about; says what it lacks."""


class Subject(Protocol):
    """A client, in the process that is measured, used as its documentation says."""

    def start(self, url: str) -> None:
        """Return when the first value can be read."""

    def read(self) -> object:
        """The newest value of the one setting, as an application gets it."""

    def subscribe(self, callback: Callable[[object], object], /) -> None:
        """Have `callback` called with each new value; DoesNotApply."""

    def after_fork(self) -> None:
        """Do what the documentation asks of the child of a fork; DoesNotApply if it asks for nothing."""

    def close(self) -> None:
        """End it; DoesNotApply."""


class Backend(Protocol):
    """A server, in a process of its own; its first value is 0.0."""

    @property
    def address(self) -> Address: ...

    def url(self, address: str) -> str:
        """What a client is told that reaches the server by way of this host and port."""

    def publish(self, value: object) -> None:
        """Change the setting; a value that is no number is accepted as any other."""

    def malformed(self) -> str:
        """Send a change that cannot be parsed, unless the server refuses that: then say so."""

    def fail(self, failing: bool, /) -> None:
        """Answer every request for the configuration with an error from now on, or no longer."""

    def asked(self) -> int | None:
        """Requests for the configuration so far; None: a connection is one."""

    def followed(self) -> bool:
        """Whether a client listens to changes now."""

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Product:
    """A column of the table."""

    title: str
    distribution: str
    """Its package on PyPI."""
    how: str
    """How it is used here."""
    subject: Callable[[], Subject]
    backend: Callable[[], Backend]
