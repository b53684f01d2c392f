"""The server's process: a product's backend behind a link, told what to do on its standard input.

`python -m benchmarks.trouble.server PRODUCT` reads and answers a JSON line for each call, and ends with its input, so
that it never outlives the application.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from benchmarks.trouble.link import HOST, Link
from benchmarks.trouble.products import product


def main(name: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and leave nothing behind
    backend = product(name).backend()
    try:
        link = Link(backend.address)

        def publish(value: object) -> float:
            now = time.monotonic()
            backend.publish(value)
            return now

        def asked() -> int:
            count = backend.asked()
            return link.taken if count is None else count

        calls: dict[str, Callable[..., object]] = {
            "publish": publish,
            "malformed": backend.malformed,
            "fail": backend.fail,
            "asked": asked,
            "followed": backend.followed,
            "taken": lambda: link.taken,
            "cut": link.cut,
            "refuse": link.refuse,
            "accept": link.accept,
            "silence": link.silence,
        }
        say({"url": backend.url(f"{HOST}:{link.port}"), "port": link.port})
        for line in sys.stdin:
            call, *arguments = json.loads(line)
            say(calls[call](*arguments))
    finally:
        backend.stop()


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Server:
    """That process, as the application's sees it: a context manager; every call has taken effect when it returns."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "benchmarks.trouble.server", name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        where = self._heard()
        self.url: str = where["url"]
        self.port: int = where["port"]

    def publish(self, value: object) -> float:
        """Change the setting; the time just before, on the monotonic clock, which all processes share."""
        return float(self._call("publish", value))

    def malformed(self) -> str:
        """Send a change that cannot be parsed; if the server refuses that, what it says."""
        return str(self._call("malformed"))

    def fail(self, failing: bool) -> None:
        """Answer every request for the configuration with an error from now on, or no longer."""
        self._call("fail", failing)

    def asked(self) -> int:
        """Requests for the configuration so far; of a database: connections."""
        return int(self._call("asked"))

    def taken(self) -> int:
        """Connections so far."""
        return int(self._call("taken"))

    def followed(self) -> bool:
        """Whether a client listens to changes now."""
        return bool(self._call("followed"))

    def cut(self) -> None:
        """Close every connection."""
        self._call("cut")

    def refuse(self) -> None:
        """Refuse new connections."""
        self._call("refuse")

    def accept(self) -> float:
        """Take new connections again; the time just before, on the monotonic clock."""
        now = time.monotonic()
        self._call("accept")
        return now

    def silence(self) -> None:
        """Pass nothing on for the connections that there are, and close none."""
        self._call("silence")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _call(self, *call: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server's process has ended with {self._process.wait()}")
        return json.loads(line)


if __name__ == "__main__":
    main(sys.argv[1])
