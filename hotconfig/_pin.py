"""Pins: what `current()` of a client returns in a context, until it is left."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Pin:
    """Marked when it is left, which may be in another context than it was set in."""

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
    _pins.set((*_held(), pin))
    try:
        yield
    finally:
        pin.left = True
        # Not a reset of the variable: that fails in another context, as that of an async generator which is closed
        # elsewhere, and two generators that take turns in one context do not leave in the order of a stack.
        _pins.set(_held())


def _held() -> tuple[Pin, ...]:
    return tuple(pin for pin in _pins.get() if not pin.left)
