"""Fork: the child starts anew, and leaves the parent's connections alone.

The hook runs in every child, under uvloop even in the one that is about to become another program: it only clears
references. What costs something waits for the child's first use.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    def _forked(self) -> None:
        """Forget threads and locks: they belong to the parent."""


owners: WeakSet[Inherited] = WeakSet()
_sockets: dict[int, tuple[int, int]] = {}
_inherited: dict[int, tuple[int, int]] = {}


def opened(fd: int) -> None:
    """A connection of this process uses this socket."""
    _sockets[fd] = _identity(fd)


def closing(fd: int) -> None:
    """It will no longer."""
    _sockets.pop(fd, None)


def release() -> None:
    """Give up the parent's sockets.

    Closing the connection would send a farewell on it and end the parent's session, so the descriptor is pointed
    elsewhere first; and only if it still is that socket, since a daemon may have closed and reused it.
    """
    while _inherited:
        fd, identity = _inherited.popitem()
        try:
            if _identity(fd) == identity:
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                os.dup2(null, fd, inheritable=False)
                os.close(null)
        except OSError:  # closed meanwhile
            continue


def _identity(fd: int) -> tuple[int, int]:
    stat = os.fstat(fd)
    return stat.st_dev, stat.st_ino


def _after_in_child() -> None:
    _inherited.update(_sockets)
    _sockets.clear()
    for owner in list(owners):
        owner._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
