"""What the how-to guide of tests says of its fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pages
import pytest

PAGE = Path(__file__).parent.parent / "docs/howto/testing.md"

EDITS = """
import hotconfig
import pytest

@pytest.mark.parametrize("number", range(3))
def test_one_of_three(admin, number):
    assert hotconfig.current().ai_infra.llm_temperature == 0.7
    hotconfig.wait_for(admin.update(None, {"ai_infra.llm_temperature": 0.1}).version)
    assert hotconfig.current().ai_infra.llm_temperature == 0.1

def test_the_defaults_come_back(hotconfig_override):
    assert hotconfig_override({}).ai_infra.llm_temperature == 0.7

def test_plain_sql(admin, postgres):
    import psycopg
    from hotconfig import embedded

    with psycopg.connect(embedded.start(postgres.removeprefix("embedded:"))) as connection:
        connection.execute("UPDATE config_ai_infra SET llm_temperature = 0.2")
    hotconfig.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.2)
"""


@pytest.mark.timeout(120)
def test_each_test_begins_with_the_same_profile(tmp_path: Path) -> None:
    """Whatever the one before it did, also without a database after one with it; the server goes with the tests."""
    pages.save(PAGE, "conftest.py", tmp_path)
    (tmp_path / "test_edits.py").write_text(EDITS)
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        Path(temporary).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error", str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": temporary},
        )
        assert "5 passed" in done.stdout, done.stdout + done.stderr
        assert list(Path(temporary).glob("tmp*")) == []
