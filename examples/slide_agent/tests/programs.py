"""`slide-agent run` as it is typed: its database, its stand-in, and psql are processes of their own."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from conftest import PATIENCE

from slide_agent.run import EDIT


@dataclass
class Program:
    """The process, and what it has printed."""

    process: subprocess.Popen[str]
    url: str
    stand_in: str
    database: str
    psql: list[str]

    def edit(self, values: str) -> None:
        """Run the printed psql command, with other values to set."""
        self.sql(EDIT.replace("llm_temperature = 0.2", values))

    def sql(self, statement: str) -> None:
        *command, printed = self.psql
        assert printed == EDIT
        subprocess.run([*command, statement], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)


@contextmanager
def running(data: Path) -> Iterator[Program]:
    """On a database of its own, as on its first day; ended with Ctrl-C, unless it has ended."""
    command = [sys.executable, "-m", "slide_agent", "run", "--port", "0", "--database", f"embedded:{data}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = ""
        while EDIT not in printed:
            line = cast(IO[str], process.stdout).readline()
            assert line, f"it has ended, and printed only: {printed}"
            printed += line
        stand_in, _, url = re.findall(r"http://127\.0\.0\.1:\d+", printed)
        exported = re.search(r"export HOTCONFIG_DATABASE_URL=(.+)", printed)
        assert exported
        (database,) = shlex.split(exported[1])
        try:
            yield Program(process, url, stand_in, database, shlex.split(printed.splitlines()[-1]))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(PATIENCE)


def port(url: str) -> int:
    return urlsplit(url).port or 0
