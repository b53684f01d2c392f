"""A short run of what `make chaos` does for longer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from editing import eventually

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(240)
def test_twenty_seconds_of_chaos() -> None:
    """Nothing is shown that never was, nothing is lost, nobody stays behind; and there was something to survive."""
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "20"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as chaos:
        try:
            shown, _ = chaos.communicate(timeout=200)
        except BaseException:
            chaos.terminate()  # it ends its servers and readers, and then itself
            with suppress(subprocess.TimeoutExpired):
                chaos.wait(20)
            chaos.kill()
            raise
    assert chaos.returncode == 0, shown
    assert "violations: 0" in shown
    assert int(re.findall(r"(\d+) committed", shown)[0]) >= 10, shown
    assert len(re.findall(r"\d+ [a-z ]+", shown.partition("faults:")[2].partition("\n")[0])) >= 3, shown


def test_it_can_be_ended() -> None:
    """Ctrl-C ends it at once, with all that it has started."""
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "100", "--writers", "1", "--clients", "1"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as chaos:
        assert chaos.stdout is not None
        assert chaos.stdout.readline().startswith("seed")
        os.kill(chaos.pid, signal.SIGINT)
        chaos.wait(50)
    eventually(lambda: not group_exists(chaos.pid))


def group_exists(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    return True
