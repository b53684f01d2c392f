"""An HTTP server of ours that speaks a vendor's protocol: JSON documents, and server-sent events in chunks."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Protocol

from benchmarks.trouble.link import HOST, Address

HEARTBEAT = 15.0
"""Seconds between two comments on a stream on which nothing happens."""


@dataclass(frozen=True, slots=True)
class State:
    """What the server has to say: the one setting."""

    value: object
    version: int
    changed: float
    """Seconds since 1970."""


class Dialect(Protocol):
    """A vendor's protocol, as far as its client asks for it."""

    stream: str
    """The path at which the client listens."""
    changed: str
    """The name of the event that tells of a change; '' if it has none."""

    def document(self, path: str, state: State, /) -> object:
        """What is answered elsewhere, as JSON; None: nothing, it is no request for the configuration."""

    def opening(self, state: State, /) -> bytes:
        """The events with which a stream begins."""

    def change(self, state: State, /) -> object:
        """What the event says that tells of the newest state."""


class Stub:
    """Serves one dialect, each connection in a thread of its own."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lock = threading.Lock()  # guards the state and the streams, so that no stream misses a change
        self._state = State(0.0, 1, time.time())
        self._streams: list[SimpleQueue[bytes]] = []
        self._failing = False
        self._asked = 0
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stub._answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stub._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by its base
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients go without a word here."""

        self._server = Server((HOST, 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="stub", daemon=True).start()

    @property
    def address(self) -> Address:
        return HOST, self._server.server_port

    def url(self, address: str) -> str:
        return f"http://{address}"

    def publish(self, value: object) -> None:
        with self._lock:
            self._state = State(value, self._state.version + 1, time.time())
            self._tell(event(self._dialect.changed, self._dialect.change(self._state)))

    def malformed(self) -> str:
        with self._lock:
            self._tell(event(self._dialect.changed, self._dialect.change(self._state))[:-9] + b"\n\n")
        return ""

    def fail(self, failing: bool) -> None:
        self._failing = failing

    def asked(self) -> int:
        return self._asked

    def followed(self) -> bool:
        return bool(self._streams)

    def stop(self) -> None:
        self._server.shutdown()

    def _tell(self, text: bytes) -> None:
        for stream in self._streams:
            stream.put(text)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        streams = path == self._dialect.stream
        document = None if streams else self._dialect.document(path, self._state)
        if streams or document is not None:
            self._asked += 1
        if self._failing:
            reply(handler, 503, b'{"message": "unavailable"}')
        elif streams:
            self._stream(handler)
        elif document is None:
            reply(handler, 202, b"{}")
        else:
            reply(handler, 200, json.dumps(document).encode())

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        events: SimpleQueue[bytes] = SimpleQueue()
        with self._lock:
            events.put(self._dialect.opening(self._state))
            self._streams.append(events)
        try:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Cache-Control", "no-cache")
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            while True:
                try:
                    text = events.get(timeout=HEARTBEAT)
                except Empty:
                    text = b":\n\n"
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        finally:
            with self._lock:
                self._streams.remove(events)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def event(name: str, data: object) -> bytes:
    """A server-sent event with JSON in it; without a name if that is empty."""
    return (f"event: {name}\n" * bool(name) + f"data: {json.dumps(data)}\n\n").encode()
