"""What the how-to guide of asyncio says and its own blocks do not show."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from dispatching import PATIENCE
from editing import Editor, eventually
from feeds import Where
from programs import started

from hotconfig import Change, Client, Closed

PAGE = Path(__file__).parent.parent / "docs/howto/asyncio.md"
WITH_UVLOOP = "import follow, hotconfig, uvloop\nwith hotconfig.start():\n    uvloop.run(follow.main())\nprint('bye')"


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    client = Client(where.url, heartbeat=1000)
    yield client
    client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [["follow.py"], ["-c", WITH_UVLOOP]], ids=["asyncio", "uvloop"])
def test_it_ends_cleanly(
    program: list[str], number: signal.Signals, where: Where, editor: Editor, tmp_path: Path
) -> None:
    """The page's program is told in either loop; a signal ends it without an error, and its session."""
    pages.save(PAGE, "follow.py", tmp_path)
    with started(
        [sys.executable, "-u", *program],
        cwd=tmp_path,
        env=os.environ | {"HOTCONFIG_DATABASE_URL": where.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("begin with")
        editor.run("UPDATE config_ai_infra SET llm_endpoint = 'another'")
        assert process.stdout.readline() == "go on with another\n"
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[0] == "bye\n"
    assert process.returncode == 0
    eventually(lambda: where.readers() == [])


def test_a_call_that_runs_is_not_interrupted(client: Client, editor: Editor) -> None:
    """Neither by cancel() nor by close()."""

    async def main() -> None:
        running, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def callback(change: Change) -> None:
            running.set()
            await go_on.wait()
            ended.set()

        await asyncio.to_thread(client.start)
        subscription = client.subscribe(callback)
        await asyncio.to_thread(editor.tokens, 7)
        await running.wait()
        subscription.cancel()
        await asyncio.to_thread(client.close)
        go_on.set()
        await ended.wait()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_wait_in_a_thread_ends_with_the_client(client: Client) -> None:
    """Though nobody awaits it any more; the loop's end, which joins the thread, is not held up."""
    began = threading.Event()
    ended: list[BaseException] = []

    def wait() -> None:
        began.set()
        try:
            client.wait_for(10**9, timeout=None)
        except Closed as error:
            ended.append(error)

    async def main() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(wait))
        await asyncio.to_thread(began.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended == []
        client.close()

    asyncio.run(main())
    assert len(ended) == 1
