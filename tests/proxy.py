"""A TCP proxy in front of a server: a link that can be cut, stalled, delayed, throttled, or refuse."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"


class Proxy:
    """Runs in a thread of its own; every method takes effect before it returns."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.delay = 0.0
        """Seconds that each piece is kept, both ways."""
        self.rate = 0.0
        """Bytes a second, both ways; 0: as fast as it goes."""
        self.held = 0
        """Pieces that have come and are not yet passed on."""
        self.passed = 0
        """Bytes that were passed on, both ways."""
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()  # of the connections that are taken from now on
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._taken: set[asyncio.StreamWriter] = set()  # those of them that whoever connected is at
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._do(self._open.set)
        self.accept()

    def stop(self) -> None:
        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.refuse()
        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def links(self) -> int:
        """How many connections there are now."""
        return len(self._ends) // 2

    @property
    def peers(self) -> list[int]:
        """The ports of those who are connected, in order."""
        return self._do(lambda: sorted(end.get_extra_info("peername")[1] for end in self._taken))

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""

        def reset() -> None:
            for end in self._ends:
                # Without lingering, what follows is a RST and not a FIN.
                linger = struct.pack("ii", 1, 0)
                with suppress(OSError):  # it has just been closed
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                end.transport.abort()

        self._do(reset)

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on, in either direction, until `resume`."""
        self._do(self._open.clear)

    def resume(self) -> None:
        """Pass on what was kept, and what comes."""
        self._do(self._open.set)

    def abandon(self) -> None:
        """Pass nothing on for the connections that there are, for ever; new ones work: a firewall that forgot."""

        def replace() -> None:
            self._open.clear()
            self._open = asyncio.Event()
            self._open.set()

        self._do(replace)

    def refuse(self) -> None:
        """Take no new connections; those that there are stay."""

        def close() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None

        self._do(close)

    def accept(self) -> None:
        """Take new connections, on the port of before."""

        async def listen() -> None:
            if self._server is None:
                self._server = await asyncio.start_server(self._serve, HOST, self.port)
                self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result()

    def heal(self) -> None:
        """As it was at first."""
        self.delay = self.rate = 0.0
        self.resume()
        self.accept()

    def _do(self, action: Callable[[], T]) -> T:
        async def run() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        self._taken.add(writer)
        upstream: asyncio.StreamWriter | None = None
        passing = self._open
        try:
            await passing.wait()
            upstream_reader, upstream = await asyncio.open_connection(HOST, self.upstream)
            self._ends.add(upstream)
            pumps = {
                asyncio.create_task(self._pump(reader, upstream, passing)),
                asyncio.create_task(self._pump(upstream_reader, writer, passing)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # a server that is down, or the end; nobody waits for this task
        finally:
            self._taken.discard(writer)
            for end in (writer, upstream):
                if end is not None:
                    self._ends.discard(end)
                    end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(16384):
                self.held += 1
                try:
                    if self.delay:
                        await asyncio.sleep(self.delay)
                    if self.rate:
                        await asyncio.sleep(len(data) / self.rate)
                    await passing.wait()
                finally:
                    self.held -= 1
                sink.write(data)
                self.passed += len(data)
                await sink.drain()
            sink.close()
            await sink.wait_closed()


@contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:
    """A proxy in front of a port of this host, for as long as the block runs."""
    proxy = Proxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
