"""The program as it is typed, with a PostgreSQL of its own, and psql as it prints it."""

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

import httpx2
import pytest
from conftest import PATIENCE, PRODUCT, types

from listing_genie.run import EDIT


@dataclass
class Program:
    """`listing-genie run`, its address, and the psql command that it has printed."""

    process: subprocess.Popen[str]
    url: str
    psql: list[str]


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    """Until Ctrl-C."""
    command = [sys.executable, "-m", "listing_genie", "run", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        printed = ""
        while EDIT.split()[0] not in printed:
            line = cast(IO[str], process.stdout).readline()
            assert line, f"it has ended, and printed only: {printed}"
            printed += line
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", printed)
        try:
            yield Program(process, url, shlex.split(printed.splitlines()[-1]))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


def opened(program: Program) -> list[str]:
    """The image types of a new session."""
    response = httpx2.post(f"{program.url}/sessions", json=PRODUCT, timeout=PATIENCE)
    assert response.status_code == 201, response.text
    return types(response.json())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_first_minute(enterable: Path, number: signal.Signals) -> None:
    """Run, open a session, type the psql command: the next session lacks that image. Then nothing is left running."""
    data = enterable / "data"
    with running("--data", str(data)) as program:
        assert "lifestyle" in opened(program)
        assert program.psql[-1] == EDIT
        subprocess.run(program.psql, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        while "lifestyle" in opened(program):
            pass
        assert (data / "postgres/postmaster.pid").exists()
        program.process.send_signal(number)
        assert program.process.wait(PATIENCE) == 0
    assert not (data / "postgres/postmaster.pid").exists()
    with running("--data", str(data)) as program:  # what was edited is there the next time
        assert "lifestyle" not in opened(program)


def test_a_database_that_is_down(hotconfig_database: str, tmp_path: Path) -> None:
    """Without it a program that ran before serves what it remembers; a new one says why it does not, in a line."""
    with running("--data", str(tmp_path / "old"), "--database", hotconfig_database) as program:
        subprocess.run(program.psql, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        while "lifestyle" in (before := opened(program)):
            pass
    nowhere = "postgresql://127.0.0.1:1/nowhere"
    with running("--data", str(tmp_path / "old"), "--database", nowhere) as program:
        assert opened(program) == before
        assert httpx2.get(f"{program.url}/health").json()["hotconfig"]["state"] == "stale"
    command = [sys.executable, "-m", "listing_genie", "run", "--data", str(tmp_path / "new"), "--database", nowhere]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["not migrated", "error"]
