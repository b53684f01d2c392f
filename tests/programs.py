"""Other programs, which a test starts beside itself."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from editing import eventually


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that has ended at the end: by itself, or killed if the test fails, which would wait for it for ever."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> None:
    """Send it a signal when it waits: Python sees one that comes just before a blocking read only behind that read."""
    eventually(lambda: process.poll() is not None or asleep(process.pid))
    process.send_signal(number)


def asleep(pid: int) -> bool:
    """As /proc says of the main thread, behind the program in brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
