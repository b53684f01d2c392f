"""A small run of what `make scale-demo` does with 200 clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(240)
def test_a_few_clients() -> None:
    """Nothing is shown that never was, nothing is lost, nobody stays behind; and there was something to survive."""
    command = [sys.executable, "-m", "tests.scale", "--clients", "8", "--processes", "2"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: 0" in done.stdout
    assert done.stdout.count("killed: the slowest edit") == 4, done.stdout
