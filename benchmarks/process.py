"""Processes that follow and say when they have something, on the clock that all processes of a machine share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Follower:
    """A process that prints "ready", then a line for each version that it has: the version and time.monotonic_ns()."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line. Raises RuntimeError if it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process that follows ended with {self.process.wait(30)}: its errors are above")
        return line.rstrip("\n")

    def spent(self) -> dict[str, float]:
        """Seconds of processor that its threads have taken, by their names."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        spent: dict[str, float] = json.loads(self.line())
        return spent

    def has(self, version: int) -> int:
        """Wait until it has a version, or a newer one; when it had, in nanoseconds."""
        while True:
            found, when = map(int, self.line().split())
            if found >= version:
                return when


@contextmanager
def follower(arguments: list[str]) -> Iterator[Follower]:
    """`python` with these arguments, once it is ready; it is ended by the end of its input."""
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        started = Follower(process)
        if (line := started.line()) != "ready":
            raise RuntimeError(f"{arguments} says {line!r}")
        yield started
    finally:
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
