"""Calls that know no deadline, in threads of their own: the wait for them has one, and ends when told to stop."""

from __future__ import annotations

import contextvars
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from hotconfig._feed import Lost, Stop, Stopped

T = TypeVar("T")

GLANCE = 0.02  # seconds between looks whether to stop


class Apart:
    """Each call runs once at a time: what did not come in time is what the next one waits for."""

    def __init__(self) -> None:
        self._running: dict[Hashable, tuple[threading.Thread, Future[Any]]] = {}

    def __call__(self, function: Callable[..., T], *args: Hashable, stop: Stop, timeout: float) -> T:
        """What the function returns or raises.

        Raises:
            Lost: it did not come within `timeout` seconds.
            Stopped: `stop` was set meanwhile.
        """
        deadline = time.monotonic() + timeout
        key = function, args
        if key not in self._running:
            self._running[key] = _begin(function, args)
        thread, future = self._running[key]
        while thread.is_alive():
            if stop.is_set():
                raise Stopped
            left = deadline - time.monotonic()
            if left <= 0:
                raise Lost(f"no answer within {timeout:g} s")
            thread.join(min(left, GLANCE))
        del self._running[key]
        came: T = future.result()
        return came


def _begin(function: Callable[..., T], args: tuple[Hashable, ...]) -> tuple[threading.Thread, Future[T]]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            future.set_exception(error)

    # The caller's context, since a callable of the application may look something up there.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="hotconfig-apart", daemon=True)
    thread.start()
    return thread, future


def addresses(host: str, apart: Apart, *, stop: Stop, timeout: float) -> list[str]:
    """Where a host is, in the resolver's order; an address is there itself.

    Raises:
        Lost: what the resolver said, or that it said nothing within `timeout` seconds.
        Stopped: `stop` was set meanwhile.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [host]
    try:
        found = apart(socket.getaddrinfo, host, None, 0, socket.SOCK_STREAM, stop=stop, timeout=timeout)
    except (Lost, OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Lost(f'could not translate host name "{host}" to address: {reason}') from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))
