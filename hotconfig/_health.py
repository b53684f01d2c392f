"""How a relay is, for whoever watches it: JSON over HTTP, 200 if it is well and 503 if not, whatever the path."""

from __future__ import annotations

import json
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hotconfig._relay import Relay

LATE = 3  # heartbeats without an answer of both ends
SILENT = 10.0  # seconds that whoever connects may say nothing


def health(relay: Relay) -> dict[str, object]:
    """Versions, how many the bucket is behind, seconds since both ends answered, and what is wrong."""
    heard = time.monotonic() - relay.heard
    missing = sorted(relay.too_large | relay.unfit)
    known = relay.newest is not None and relay.relayed is not None
    return {
        "healthy": known and relay.error is None and not missing and heard < LATE * relay.heartbeat,
        "version": relay.newest,
        "relayed": relay.relayed,
        "behind": (relay.newest or 0) - (relay.relayed or 0) if known else None,
        "documents": relay.documents,
        "too_large": missing,
        "heard": round(heard, 3) if known else None,
        "error": None if relay.error is None else str(relay.error),
    }


def serve(relay: Relay, host: str, port: int) -> ThreadingHTTPServer:
    """A server that answers in threads of its own until `shutdown()`. Raises OSError if it cannot listen there."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT

        def do_GET(self) -> None:
            answer = health(relay)
            body = json.dumps(answer).encode()
            self.send_response(HTTPStatus.OK if answer["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: whoever watches asks often."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    server = Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="hotconfig-health", daemon=True).start()
    return server
