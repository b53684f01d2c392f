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

def test_plain_sql(admin, hotconfig_database):
    import psycopg

    with psycopg.connect(hotconfig_database) as connection:
        connection.execute("UPDATE config_ai_infra SET llm_temperature = 0.2")
    hotconfig.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.2)
"""

OWN = """
import psycopg
import pytest

@pytest.fixture(scope="session")
def hotconfig_prepare():
    def prepare(url):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE rows (n int)")
    return prepare

@pytest.mark.parametrize("number", range(2))
def test_one_of_two(hotconfig_database, number):
    with psycopg.connect(hotconfig_database) as connection:
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (0,)
        connection.execute("INSERT INTO rows VALUES (1)")

def test_two_at_once(hotconfig_databases, hotconfig_database):
    with hotconfig_databases() as another:
        assert another != hotconfig_database
        left_open = psycopg.connect(another)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(another)
    left_open.close()
"""


@pytest.mark.timeout(120)
def test_each_test_begins_with_the_same_profile(tmp_path: Path) -> None:
    """Whatever the one before it did, also without a database after one with it."""
    pages.save(PAGE, "conftest.py", tmp_path)
    assert "5 passed" in run(EDITS, tmp_path)


@pytest.mark.timeout(120)
def test_a_database_of_ones_own(tmp_path: Path) -> None:
    """It has what its fixture made, and each test its own copy."""
    assert "3 passed" in run(OWN, tmp_path)


def run(tests: str, directory: Path) -> str:
    """What pytest says; the server went with the tests."""
    (directory / "test_edits.py").write_text(tests)
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        Path(temporary).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error", str(directory)],
            check=False,
            capture_output=True,
            text=True,
            cwd=directory,
            env=os.environ | {"TMPDIR": temporary},
        )
        assert list(Path(temporary).glob("hotconfig-*")) == []
        return done.stdout + done.stderr
