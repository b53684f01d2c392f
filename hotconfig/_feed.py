"""What a feed is: where documents come from, told item by item.

A feed is a generator `feed(document, stop)`. It yields what it learns, is sent whether what came could not be served,
ends when `stop` is set, and closes its connection on the way out. Nothing but `stop` ends it: after an error it yields
`Down` and goes on trying.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import selectors
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hotconfig.errors import HotConfigError

logger = logging.getLogger("hotconfig")

ANSWER = 5.0  # seconds that a question may go without an answer, or an answer without more of it
LOOK_PAUSE = 0.005  # seconds between looks that find nothing new: a flood of forged notifications costs 200 a second
# The pause before the next connect: seconds at first, times as long after each that fails, seconds at most.
FIRST, GROWTH, LONGEST = 0.2, 8.0, 5.0
STABLE = 30.0  # seconds of a connection's life after which the back-off begins anew

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


class Failed(Exception):
    """A session ended, as sessions do."""


class Lost(Failed):
    """The connection could not be made, or is gone, or does not answer in time."""


class Stopped(Exception):
    """The wait was ended by `stop`."""


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


class Link(Protocol):
    """What a feed knows across connections."""

    connected: float  # since when, on the monotonic clock; infinite: not yet


def follow(  # noqa: PLR0917  # all of them are what a feed is made of
    link: Link,
    session: Callable[[float], Feed],
    explain: Callable[[Exception], HotConfigError],
    stop: Stop,
    timeout: float,
    longest: float = LONGEST,
) -> Feed:
    """Session after session, with a pause that grows after each that fails; the first item within `timeout` seconds.

    Args:
        link: whose `connected` a session sets.
        session: one connection's life; its first item comes before the deadline that it is given. Any error leaves it,
            and it returns only to look elsewhere at once.
        explain: such an error as one of hotconfig's.
        stop: ends it.
        timeout: seconds.
        longest: seconds of a pause, at most; a part of it, up to half, is left out by chance.
    """
    failures = 0
    deadline = time.monotonic() + timeout
    while not stop.is_set():
        try:
            yield from session(deadline)
        except Stopped:
            return
        except Exception as error:  # whatever it is, the process goes on and so do we
            if failures == 0 and not isinstance(error, Failed | HotConfigError):
                logger.exception("the feed failed; it goes on")
            down = error if isinstance(error, HotConfigError) else explain(error)
        else:
            continue  # elsewhere
        deadline = math.inf
        if time.monotonic() - link.connected > STABLE:
            failures = 0
        link.connected = math.inf
        yield Down(down)
        stop.wait(min(longest, FIRST * GROWTH**failures) * random.uniform(0.5, 1))
        failures = min(failures + 1, 16)


def remaining(deadline: float, at_most: float = ANSWER) -> float:
    """Seconds until the deadline, at most an answer's."""
    return min(at_most, max(0.0, deadline - time.monotonic()))


def member() -> str:
    """What this process is called in the fleet."""
    name = os.environ.get("HOTCONFIG_INSTANCE") or f"{socket.gethostname()[:20]}.{os.getpid()}"
    return name.replace(":", "-")  # so that one can tell where the document begins
