"""The demo: what a newcomer runs first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from editing import eventually
from programs import asleep, started

pytestmark = pytest.mark.timeout(120)

DEMO = [sys.executable, "-m", "hotconfig", "demo"]


def test_the_tour(enterable: Path) -> None:
    """Before, after, measured, audited, rolled back; it exits 0, cleans up, and colours nothing in a pipe."""
    environ = os.environ | {"TMPDIR": str(enterable)}

    done = subprocess.run(DEMO, check=False, capture_output=True, text=True, env=environ)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r" temperature ([0-9.]+)", done.stdout) == ["0.7", "0.2", "0.7"]
    assert re.search(r"had it [0-9.]+ ms after the transaction published it", done.stdout)
    assert "version 2 by postgres: ai_infra.llm_temperature 0.7 -> 0.2" in done.stdout
    assert "(stand-in for an LLM" in done.stdout
    assert "\x1b" not in done.stdout
    assert list(enterable.iterdir()) == []


def test_interactive() -> None:
    """The command that it prints changes the agent's next answer; Ctrl-C ends it with 0."""
    with started(
        [*DEMO, "--interactive"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if "Ctrl-C" in line:
                break
        command = demo.stdout.readline().strip()
        assert "llm_temperature = 0.2" in command
        subprocess.run(command, check=True, shell=True, capture_output=True)

        told = [demo.stdout.readline() for _ in range(4)]
        assert "told of ai_infra.llm_temperature" in "".join(told)
        assert "temperature 0.2" in "".join(told)
        eventually(lambda: asleep(demo.pid))
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        assert demo.wait() == 0
        assert demo.stderr.read() == ""
