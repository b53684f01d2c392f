"""What `import hotconfig` brings: all that a reader needs, and nothing of the writing side."""

from __future__ import annotations

import subprocess
import sys

import hotconfig

HEAVY = ("sqlalchemy", "alembic", "typer", "rich", "psycopg_pool", "pytest", "nats")

READS = """
import sys, hotconfig, hotconfig.testing
with hotconfig.testing.override({"ai_infra.llm_temperature": 0.1}):
    hotconfig.current()
with hotconfig.start():
    assert hotconfig.status().healthy
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_reader_loads_nothing_of_the_writing_side(database: str) -> None:
    """Not even when it has connected, read and closed."""
    done = subprocess.run(
        [sys.executable, "-c", READS],
        check=True,
        capture_output=True,
        text=True,
        env={"HOTCONFIG_DATABASE_URL": database},
    )

    loaded = done.stdout.split()
    assert {"psycopg", "pydantic"} <= set(loaded)
    assert [name for name in HEAVY if name in loaded] == []


IMPORTS = """
import threading, logging, hotconfig
assert threading.active_count() == 1
assert not logging.getLogger("hotconfig").handlers
"""


def test_importing_does_nothing() -> None:
    """No thread, no connection, no output, and no handler for the log."""
    done = subprocess.run(
        [
            *[sys.executable, "-X", "dev", "-W", "error", "-c"],
            IMPORTS,
        ],
        check=False,
        capture_output=True,
        env={"HOTCONFIG_DATABASE_URL": "mysql://wrong"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_public_names() -> None:
    """They are sorted, and all there."""
    assert hotconfig.__all__ == sorted(hotconfig.__all__)
    assert [name for name in hotconfig.__all__ if not hasattr(hotconfig, name)] == []
