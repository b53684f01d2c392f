"""Pins: what `current()` of a client returns in a context, until it is left."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Pin:
    """Marked when it is left, since the variable cannot be reset from another context than it was set in."""

    owner: object
    value: object
    left: bool = False


_pins: contextvars.ContextVar[tuple[Pin, ...]] = contextvars.ContextVar("hotconfig_pins", default=())


def find(owner: object) -> object | None:
    """What is pinned here for this owner, innermost first."""
    for pin in reversed(_pins.get()):
        if pin.owner is owner and not pin.left:
            return pin.value
    return None


@contextmanager
def pinning(owner: object, value: object) -> Iterator[None]:
    """Pin within; asyncio tasks and `asyncio.to_thread` inherit it."""
    pin = Pin(owner, value)
    token = _pins.set((*_pins.get(), pin))
    try:
        yield
    finally:
        pin.left = True
        with suppress(ValueError):  # left in another context, as an async generator that is closed elsewhere
            _pins.reset(token)
