"""A flood of notifications, which any role may send: it costs a bounded number of looks, and hides no edit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest
from conftest import Connect
from editing import Editor, eventually
from hooks import LOOK

from hotconfig import Client
from hotconfig._wire import Row, Wire

WRONG = """
    SELECT pg_notify('hotconfig', wrong || i) FROM generate_series(1, 100) AS i,
        unnest(ARRAY['', '-', '1e9', '{"version": ', 'active', '; --', E'\\n', '0x', U&'\\202E']) AS wrong
"""
FLOODS = {  # how often, and what
    "in one transaction": (1, "SELECT pg_notify('hotconfig', i::text) FROM generate_series(1, 100000) AS i"),
    "in many": (100, "SELECT pg_notify('hotconfig', i::text) FROM generate_series(1, 1000) AS i"),
    "one by one": (2000, "NOTIFY hotconfig, '18446744073709551616'"),
    "long": (4, "SELECT pg_notify('hotconfig', i || repeat('x', 7900)) FROM generate_series(1, 500) AS i"),
    "wrong": (20, WRONG),
}


@dataclass(frozen=True)
class Look:
    """One statement of a reader: when it was sent and answered, and the newest version and token that it found."""

    sent: float
    answered: float
    found: Row


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """Every look from now on."""
    seen: list[Look] = []
    query = Wire.query

    def timed(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        sent = time.monotonic()
        rows = query(wire, statement, *params, **limits)
        if LOOK in statement:
            seen.append(Look(sent, time.monotonic(), rows[0][:2]))
        return rows

    monkeypatch.setattr(Wire, "query", timed)
    return seen


def in_vain(looks: list[Look]) -> list[tuple[Look, Look]]:
    """Those that found what the one before had found, each with the next one."""
    return [
        (look, after)
        for (before, look), after in zip(pairwise(looks), looks[2:], strict=False)
        if look.found == before.found
    ]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_costs_little(
    client: Client, editor: Editor, connect: Connect, role: str, *, looks: list[Look], flood: str
) -> None:
    """Of a role without any grant: a look that found nothing is the last for 5 ms; edits meanwhile arrive."""
    times, sql = FLOODS[flood]
    client.start()
    stranger = connect(user=role)
    began = time.monotonic()

    def send() -> None:
        for _ in range(times):
            stranger.execute(sql.encode())

    flooding = threading.Thread(target=send)
    flooding.start()
    try:
        for tokens in range(1, 11):
            assert client.wait_for(editor.tokens(tokens), timeout=30).ai_infra.llm_max_tokens == tokens
    finally:
        flooding.join()
    seen = len(looks)
    stranger.execute("NOTIFY hotconfig")
    eventually(lambda: len(looks) > seen)  # one at least has found nothing
    assert client.wait_for(editor.tokens(11), timeout=30).ai_infra.llm_max_tokens == 11

    client.close()  # no more looks
    assert min(after.sent - look.answered for look, after in in_vain(looks)) >= 0.005
    assert len(looks) <= 1 + 11 + 1 + (time.monotonic() - began) / 0.005


def test_other_channels_cost_nothing(
    client: Client, editor: Editor, connect: Connect, role: str, looks: list[Look]
) -> None:
    """Names that only look like hotconfig's wake nobody."""
    client.start()
    editor.settled()
    stranger = connect(user=role)
    looks.clear()

    for channel in ("HotConfig", "hotconfig ", "hotconfig:", "hotconfig:public", "hotconfig%", "active"):
        stranger.execute("SELECT pg_notify(%s, i::text) FROM generate_series(1, 1000) AS i", [channel])
    client.wait_for(editor.tokens(1))

    client.close()
    assert len(looks) == 1
