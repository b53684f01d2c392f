"""What happens just before or after a statement of a reader."""

from __future__ import annotations

from collections.abc import Callable

from hotconfig._wire import Wire

LISTEN, LOOK, ACKNOWLEDGE = "LISTEN", "config_state", "application_name"
"""A text of each statement."""

Hook = Callable[[Wire, str], object]


class Hooks:
    """What happens around a statement of a reader: at the first one that contains a text, and only then."""

    def __init__(self) -> None:
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}
