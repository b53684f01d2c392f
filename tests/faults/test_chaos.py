"""A short run of what `make chaos` does for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(180)
def test_twenty_seconds_of_chaos() -> None:
    """Nothing is shown that never was, nothing is lost, nobody stays behind."""
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "20"]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert "violations: 0" in done.stdout
