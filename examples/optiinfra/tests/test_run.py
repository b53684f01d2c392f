"""What is typed: `optiinfra run`, `seed`, `clear`."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import PATIENCE, Sql

HERE = [sys.executable, "-m", "optiinfra"]


def optiinfra(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HERE, *arguments], check=False, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    """`run`, on a PostgreSQL of its own that was not there before."""
    with tempfile.TemporaryDirectory(prefix="optiinfra-") as directory:
        Path(directory).chmod(0o755)  # the user who runs an embedded server for root can enter
        command = [*HERE, "run", "--database", f"embedded:{directory}/data", "--pace", "0.05"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
            try:
                yield program
            finally:
                if program.poll() is None:
                    program.send_signal(signal.SIGINT)
                program.communicate(timeout=PATIENCE)


def read_until(program: subprocess.Popen[str], *texts: str) -> str:
    """The first line that has all of them; the test's time limit is the limit."""
    assert program.stdout is not None
    lines = []
    for line in program.stdout:
        lines.append(line)
        if all(text in line for text in texts):
            return line
    raise AssertionError(f"the program ended: {''.join(lines)}")


def test_run(running: subprocess.Popen[str]) -> None:
    """It prints the commands that are typed in another terminal; what they change is in the routes that follow."""
    fail = shlex.split(read_until(running, "psql", "'failed'"))
    upgrade = shlex.split(read_until(running, "psql", "'enterprise'"))
    read_until(running, "Birch (startup)", "right_sizing", "-> cost-1, http://cost-1:8000")
    read_until(running, "Acme (free)", "quantization", "-> nobody")

    subprocess.run(fail, check=True, capture_output=True, timeout=PATIENCE)
    read_until(running, "-- changed: agents.cost.cost-1.status")
    read_until(running, "Birch (startup)", "right_sizing", "-> resource-1, http://resource-1:8000")
    read_until(running, "Acme (free)", "-> nobody: no working agent of plan free can do right_sizing")

    subprocess.run(upgrade, check=True, capture_output=True, timeout=PATIENCE)
    read_until(running, "-- changed: plans.")
    read_until(running, "Acme (enterprise)", "quantization", "-> performance-1")

    running.send_signal(signal.SIGINT)
    rest = running.communicate(timeout=PATIENCE)[0]
    assert (running.returncode, "Traceback" in rest) == (0, False), rest
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(fail[1])  # its server has ended with it


def test_seed_and_clear(hotconfig_database: str, sql: Sql) -> None:
    """Each says how much there was to do."""
    for verb, said in (
        ("seed", "0 rows inserted"),
        ("clear", "8 customers and agents deleted"),
        ("clear", "0 customers and agents deleted"),
        ("seed", "14 rows inserted"),
    ):
        done = optiinfra(verb, "--database", hotconfig_database)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")
    assert sql.execute("SELECT count(*) FROM agents").fetchone() == (5,)


@pytest.mark.parametrize(
    ("database", "said"),
    [("postgresql://127.0.0.1:9/nowhere", "Connection refused"), ("mysql://here/", "error: ")],
)
def test_what_is_wrong_is_said_in_a_line(database: str, said: str) -> None:
    """Without a traceback, and with exit code 1."""
    done = optiinfra("run", "--database", database)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_an_error_of_postgresql_s(hotconfig_database: str, sql: Sql) -> None:
    """The statement is left out, in which the values are: an api_key is among them."""
    optiinfra("clear", "--database", hotconfig_database)
    sql.execute("INSERT INTO customers (name, email, api_key) VALUES ('Mine', 'ops@Acme.example', 'k')")
    done = optiinfra("seed", "--database", hotconfig_database)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "events_customer_id_fkey" in done.stderr
    assert "INSERT" not in done.stderr


def test_the_environment_says_where(hotconfig_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", hotconfig_database)
    assert optiinfra("seed").stdout == "0 rows inserted\n"
