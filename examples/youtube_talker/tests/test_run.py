"""What a visitor does: `youtube-talker run`, and the psql command that it prints."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest
from conftest import PATIENCE

from youtube_talker.run import EDIT

COMMAND = [sys.executable, "-m", "youtube_talker", "run"]


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory that the user who runs an embedded server for root can enter."""
    with tempfile.TemporaryDirectory(prefix="youtube-talker-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, "data")


def test_run(data: Path) -> None:
    """It answers, prints how to edit, answers again with what was edited, and finds it there the next time."""
    database = f"embedded:{data}"
    with running(database, signal.SIGINT) as output:
        assert "rag.top_k = 2, template 'Article'" in until(output, "----")
        printed = until(output, "psql")
        subprocess.run(shlex.split(printed), check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        assert until(output, "changed:") == "changed: rag.top_k\n"
        assert "rag.top_k = 1, template 'Article'" in until(output, "----")
    with running(database, signal.SIGTERM) as output:
        assert "rag.top_k = 1, template 'Article'" in until(output, "----")
        until(output, "psql")


def test_a_database_of_ones_own(url: str) -> None:
    """Is prepared too, and its address, which may hold a password, is not printed."""
    with running(url, signal.SIGINT) as output:
        assert until(output, "psql") == f'    psql "$HOTCONFIG_DATABASE_URL" -c "{EDIT}"\n'


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/nothing", "mysql://127.0.0.1/wrong"])
def test_what_is_wrong_is_said_in_a_line(url: str) -> None:
    """Without a traceback, and with exit code 1."""
    done = subprocess.run([*COMMAND, "--database", url], check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@contextmanager
def running(database: str, end: signal.Signals) -> Iterator[IO[str]]:
    """What it prints; it is ended with a signal, and must then have nothing to complain of."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "--database", database], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield cast(IO[str], process.stdout)
            process.send_signal(end)
            _, complaint = process.communicate(timeout=PATIENCE)
            assert (process.returncode, complaint) == (0, "")
        except BaseException:
            process.kill()
            raise


def until(output: IO[str], part: str) -> str:
    """The next line with it."""
    for line in output:
        if part in line:
            return line
    raise AssertionError(f"it has ended, and did not print {part!r}")
