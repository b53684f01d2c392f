"""What docs/howto/workers.md says of gunicorn and Celery, with the programs themselves and the page's files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pages
import pytest
from editing import Editor, eventually

PAGE = Path(__file__).parent.parent / "docs/howto/workers.md"
PATCHED = "from gevent import monkey\n\nmonkey.patch_all()\n"
PATIENCE = 40.0  # seconds for programs that start beside other tests

Start = Callable[..., "Program"]

pytestmark = pytest.mark.timeout(240)


class Program:
    """Runs in a session of its own, of which nothing is left in the end."""

    def __init__(self, directory: Path, *command: str) -> None:
        self._log = directory / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=directory, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid

    def says(self, text: str, times: int) -> None:
        """Wait until it has said that so often."""
        eventually(lambda: self._log.read_text().count(text) == times, PATIENCE)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)


@pytest.fixture
def start(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a program in `tmp_path`, on the test's database."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    for name, value in pages.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:

        def start(*command: str) -> Program:
            program = Program(tmp_path, *command)
            stack.callback(program.kill)
            return program

        yield start


def members(editor: Editor) -> set[int]:
    """The processes that are connected, by what they call themselves."""
    return {int(name.split(":")[2].rpartition(".")[2]) for name in editor.registry()}


def answer(directory: Path) -> str:
    """Of whichever worker takes the request; the deadline is shorter than the listener's waits."""
    command = ["curl", "--silent", "--show-error", "--max-time", "5", "--unix-socket", "app.sock", "http://localhost/"]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    "how",
    ["sync", "gthread --preload", "gevent", "gevent --preload", "gevent --preload, and the master is patched"],
)
def test_gunicorn(how: str, start: Start, tmp_path: Path, editor: Editor) -> None:
    """Each process has a connection of its own, is told, and answers with the new value; none has been restarted."""
    app = pages.save(PAGE, "app.py", tmp_path)
    hook = pages.save(PAGE, "gunicorn.conf.py", tmp_path)
    options, _, patched = how.partition(",")
    if patched:
        move_into_the_hook(app, hook)
        hook.write_text(PATCHED + hook.read_text())
    gunicorn = start(
        *["gunicorn", "--workers", "2", "--bind", "unix:app.sock"], "--worker-class", *options.split(), "app:app"
    )
    gunicorn.says("ready at version 1", 2)
    before = members(editor)
    master_too = "--preload" in options and not patched
    assert (len(before), gunicorn.pid in before) == (3 if master_too else 2, master_too)
    assert answer(tmp_path) == "temperature 0.7"

    editor.temperature(0.2)

    gunicorn.says("told of ai_infra.llm_temperature", len(before))
    assert {answer(tmp_path) for _ in range(4)} == {"temperature 0.2"}
    assert members(editor) == before
    gunicorn.end()
    eventually(lambda: not members(editor))


def move_into_the_hook(app: Path, hook: Path) -> None:
    """What app.py does with hotconfig when it is imported."""
    use = r"^hotconfig\..*\n"
    moved = [f"    {line.replace('rebuild', 'app.rebuild')}" for line in re.findall(use, app.read_text(), re.MULTILINE)]
    assert len(moved) == 2
    app.write_text(re.sub(use, "", app.read_text(), flags=re.MULTILINE))
    before, definition, body = hook.read_text().partition("(worker):\n")
    hook.write_text("".join([before, definition, "    import app\n", *moved, body]))


def test_celery_replaces_a_process(
    start: Start, tmp_path: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one connects and builds by itself, the last one's session has ended, and the main process has none."""
    pages.save(PAGE, "tasks.py", tmp_path)
    monkeypatch.setenv("CELERY_BROKER_URL", "sqla+sqlite:///broker.db")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "db+sqlite:///results.db")
    celery = start("celery", "--app", "tasks", "worker", "--concurrency", "2", "--max-tasks-per-child", "1")
    celery.says("builds a client of", 2)
    before = members(editor)
    editor.run("UPDATE config_ai_infra SET llm_endpoint = 'new'")
    celery.says("builds a client of new", 2)

    ask = "from tasks import answer; print(answer.delay('x').get(timeout=30))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, check=True, capture_output=True, text=True)

    assert done.stdout == "new on: x\n"
    celery.says("builds a client of new", 3)
    eventually(lambda: len(before & members(editor)) == 1 and len(members(editor)) == 2)
    assert celery.pid not in before | members(editor)
    celery.kill()
    eventually(lambda: not members(editor))
