"""What a feed is: where documents come from, told item by item.

A feed is a generator `feed(document, stop)`. It yields what it learns, is sent whether what came could not be served,
ends when `stop` is set, and closes its connection on the way out. Nothing but `stop` ends it: after an error it yields
`Down` and goes on trying.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from hotconfig.errors import HotConfigError

# Neither holds a descriptor of its own, which a fork would share.
Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The source answered; the document is the one already known."""

    version: int
    """The newest version of any document."""
    polling: str | None = None
    """Why changes are not announced here; None: they are."""
    rewound: bool = False
    """A step back: the source lost the last versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Beat):
    """The document is another one than before."""

    document_version: int | None
    """None: never published."""
    json: bytes | None
    """None: not there."""


@dataclass(frozen=True, slots=True)
class Down:
    """The source cannot be asked."""

    error: HotConfigError


Item: TypeAlias = Published | Beat | Down
Feed: TypeAlias = Generator[Item, bool, None]


class Stop:
    """An event that ends waits on sockets too: `select` on it beside them.

    It has no lock: the garbage collector may set it in the middle of a wait in the same thread.
    """

    def __init__(self) -> None:
        self._set = False
        self._pid = os.getpid()
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def set(self) -> None:
        """Idempotent, from any thread. In a forked child it must not wake the parent, whose socket this is."""
        self._set = True
        if self._pid == os.getpid():
            with contextlib.suppress(OSError):  # closed: nobody waits any more; or full: told often enough
                self._sender.send(b"\0")

    def is_set(self) -> bool:
        """In a forked child it is: a fork copies green threads, which would go on to read the parent's connection."""
        return self._set or self._pid != os.getpid()

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; True if set."""
        with Selector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.select(timeout)
        return self.is_set()

    def close(self) -> None:
        """Idempotent; `set` may still be called."""
        self._receiver.close()
        self._sender.close()

    def fileno(self) -> int:
        return self._receiver.fileno()
