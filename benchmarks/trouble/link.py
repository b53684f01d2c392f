"""The link between a client and its server: a TCP proxy whose connections can be closed, refused or silenced."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class Link:
    """Runs in a thread of its own; every method has taken effect when it returns."""

    def __init__(self, upstream: Address) -> None:
        self.taken = 0
        """Connections that were taken so far."""
        self.port = free_port()
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()  # of the connections that are taken from now on
        self._passing.set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="link", daemon=True).start()
        self.accept()

    def cut(self) -> None:
        """Close every connection, as the kernel does for a server that was killed; new ones are taken."""

        async def cut() -> None:
            for end in self._ends:
                end.close()

        self._do(cut())

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay."""

        async def refuse() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None

        self._do(refuse())

    def accept(self) -> None:
        """Take new connections again."""

        async def accept() -> None:
            if self._server is None:
                self._server = await asyncio.start_server(self._serve, HOST, self.port)

        self._do(accept())

    def silence(self) -> None:
        """Pass nothing on for the connections that there are, and close none; new ones work: a half-open socket."""

        async def silence() -> None:
            self._passing.clear()
            self._passing = asyncio.Event()
            self._passing.set()

        self._do(silence())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        passing = self._passing
        ends = [writer]
        self._ends.add(writer)
        with suppress(OSError):  # the server is not there
            if isinstance(self._upstream, str):
                upstream_reader, upstream = await asyncio.open_unix_connection(self._upstream)
            else:
                upstream_reader, upstream = await asyncio.open_connection(*self._upstream)
            ends.append(upstream)
            self._ends.add(upstream)
            pumps = [
                asyncio.create_task(pump(reader, upstream, passing)),
                asyncio.create_task(pump(upstream_reader, writer, passing)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        for end in ends:
            self._ends.discard(end)
            end.close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            await passing.wait()
            sink.write(data)
            await sink.drain()


def free_port() -> int:
    """Below those that outgoing connections get: while it is refused, nobody else takes it."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
