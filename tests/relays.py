"""Relays for the tests, in a process of their own: what a test patches, counts or forks in its process is not theirs.

Run as a program it takes a question a line, and answers each with a line, both of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from editing import Editor, eventually
from programs import started

from hotconfig import conninfo
from hotconfig._feed import Stop
from hotconfig._nats_address import parse
from hotconfig._relay import Relay


class Running:
    """A relay in a thread."""

    def __init__(
        self, database: str, to: str, heartbeat: float, *, schema: str = "public", replicas: int | None = None
    ) -> None:
        self.relay = Relay(conninfo.resolve(database), schema, parse(to), replicas, heartbeat)
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for _ in self.relay.run(self._stop):
            pass

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._stop.close()


class Relays:
    """Asked by the tests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @contextmanager
    def running(self, database: str, to: str, heartbeat: float) -> Iterator[None]:
        """A relay, which is called by where it writes to."""
        self._ask("start", database, to, heartbeat)
        try:
            yield
        finally:
            self._ask("stop", to)

    def settle(self, to: str, editor: Editor) -> None:
        """Wait until all is relayed that was committed before."""
        newest = editor.version()
        eventually(lambda: self.relayed(to) == newest)

    def relayed(self, to: str) -> int | None:
        """The version that it has relayed."""
        version = self._ask("relayed", to)
        assert version is None or isinstance(version, int)
        return version

    def _ask(self, *question: object) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def relays() -> Iterator[Relays]:
    """A process of relays, which ends when its last one has been stopped."""
    with started([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Relays(process)
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    """Answer until there are no more questions."""
    running: dict[str, Running] = {}
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        answer = None
        if verb == "start":
            database, to, heartbeat = arguments
            running[to] = Running(database, to, heartbeat)
        elif verb == "relayed":
            answer = running[arguments[0]].relay.relayed
        else:
            running.pop(arguments[0]).stop()
        print(json.dumps(answer), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    main()
