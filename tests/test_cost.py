"""What does not depend on the machine: calls and memory of a read, bytes of a look and of a change.

The statements of a look and of a change are counted in test_feed.py; benchmarks/ measures times.
"""

from __future__ import annotations

import sys
import tracemalloc
from types import FrameType

from editing import Editor, eventually
from proxy import Proxy

from hotconfig import Client

WORDS = 2048  # bytes around a document: a statement, its parameters, the answer's columns, a notification


def test_a_read_is_one_call(client: Client) -> None:
    """Of Python functions it calls `current`, and nothing else of any kind."""
    client.start()
    calls: list[str] = []

    def called(_: FrameType, event: str, what: object) -> None:
        if event in ("call", "c_call"):
            calls.append(getattr(what, "__name__", _.f_code.co_name))

    sys.setprofile(called)
    _ = client.current().ai_infra.llm_temperature
    sys.setprofile(None)
    assert calls == ["current", "setprofile"]


def test_a_read_allocates_nothing(client: Client) -> None:
    """A thousand of them need not a byte more than none.

    The least of several tries, since what the client's thread allocates meanwhile counts too; a read that allocates
    does so in each.
    """
    client.start()
    allocated(client, 1)
    assert min(allocated(client, 1000) for _ in range(10)) == min(allocated(client, 0) for _ in range(10))


def allocated(client: Client, reads: int) -> int:
    """The most that was allocated at a time."""
    each = [None] * reads  # no numbers, which would be allocated
    tracer = sys.gettrace()
    sys.settrace(None)  # that of coverage has a frame object made for each call
    tracemalloc.start()
    try:
        for _ in each:
            _ = client.current().ai_infra.llm_temperature
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        sys.settrace(tracer)


def test_a_look_is_short(through: str, proxy: Proxy, editor: Editor) -> None:
    """A look that finds nothing new carries no document, however large that is."""
    editor.run("UPDATE config_prompts SET system_prompt = repeat('prompt ', 100000)")
    with Client(through, heartbeat=0.05) as client:
        eventually(lambda: editor.acknowledged(client.current().version))
        looks, before = 0, proxy.passed
        checked = client.status().checked_at
        while looks < 5:
            eventually(lambda checked=checked: client.status().checked_at != checked)  # type: ignore[misc]
            checked = client.status().checked_at
            looks += 1
        assert proxy.passed - before < 10 * WORDS


def test_a_change_carries_its_document_once(through: str, proxy: Proxy, editor: Editor) -> None:
    """What comes beside the document is shorter than 2 KB, both ways together."""
    with Client(through, heartbeat=3600) as client:
        eventually(lambda: editor.acknowledged(client.current().version))
        before = proxy.passed
        version = editor.tokens(7)
        eventually(lambda: editor.acknowledged(version))
        document = editor.ask("SELECT octet_length(document::text) FROM config_documents WHERE name = 'active'")
        assert document < proxy.passed - before < document + WORDS
