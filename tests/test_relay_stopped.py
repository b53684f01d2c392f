"""A relay that is stopped, or killed, at the worst moment, while another one goes on: nothing is lost or goes back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contents import found, wanted
from editing import FOREVER, Editor, eventually
from feeds import Relayed
from programs import started
from relay_at import POINTS

from hotconfig import Change, Client

PROGRAM = str(Path(__file__).with_name("relay_at.py"))
NAMES = "own", "other/ö", "a.b c"


@contextmanager
def another(database: str, bucket: Relayed, point: str) -> Iterator[subprocess.Popen[str]]:
    """A relay beside the bucket's, which is going to stop at this point."""
    with started([sys.executable, PROGRAM, database, bucket.to, point], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip().isdecimal()
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], line: str) -> None:
    """Read what it says, up to this line."""
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError("it has ended")


def edits(editor: Editor, count: int) -> int:
    """Random ones, some of them several in one transaction; the last version."""
    for _ in range(count):
        with editor.connection.transaction():
            for _ in range(random.choice((1, 1, 3))):
                json = random.choice((None, f'{{"n": {random.randrange(10**6)}}}'))
                editor.run("SELECT config_publish(%s, %s)", [random.choice(NAMES), json])
            if random.random() < 0.5:
                editor.run("UPDATE config_ai_infra SET llm_max_tokens = %s", [random.randint(1, 10**6)])
    return editor.tokens(random.randint(1, 10**6))


@pytest.mark.parametrize("end", ["goes on", "killed"])
@pytest.mark.parametrize("point", POINTS)
def test_a_relay_that_is_stopped(point: str, end: str, database: str, bucket: Relayed, editor: Editor) -> None:
    """The bucket ends up as PostgreSQL is, and no client is given a document that is older than what it had."""
    told: list[Change] = []
    edits(editor, 3)
    with Client(bucket.url, heartbeat=FOREVER) as client, another(database, bucket, point) as process:
        client.subscribe(told.append)
        edits(editor, 1)
        until(process, "here")
        client.wait_for(edits(editor, 10))
        if end == "killed":
            process.kill()
            last = edits(editor, 2)
        else:
            os.kill(process.pid, signal.SIGCONT)
            last = edits(editor, 2)
            until(process, str(last))

        assert client.wait_for(last, timeout=20).ai_infra.llm_max_tokens == editor.ask(
            "SELECT llm_max_tokens FROM config_ai_infra"
        )
        assert bucket.url
        assert found(bucket.server, bucket.bucket) == wanted(editor)
        eventually(lambda: told[-1].new is client.current())
        versions = [change.new.version for change in told]
        assert versions == sorted(set(versions))
        assert client.status().rewinds == 0
