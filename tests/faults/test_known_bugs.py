"""Bugs that clients of LISTEN and NOTIFY have had, one test each, named after the bug.

Here are those of the listener's own; those of its surroundings are in test_known_bugs_around.py.
"""

from __future__ import annotations

import threading
import time

import pytest
from editing import FOREVER, Editor, eventually
from hooks import LISTEN, LOOK, Hooks
from proxy import Proxy
from psycopg import pq

from hotconfig import Change, Client
from hotconfig._wire import Refused, Row, Wire


def test_load_before_listen(client: Client, editor: Editor, hooks: Hooks, statements: list[str]) -> None:
    """After LISTEN comes another look: it has what was committed just before, as nobody announces that again."""
    committed = threading.Event()

    def edit(*_: object) -> None:
        editor.temperature(0.25)
        committed.set()

    hooks.before[LISTEN] = edit
    client.start()

    assert committed.wait(timeout=20)
    client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.25)
    kinds = [LISTEN if LISTEN in each else LOOK for each in statements if LISTEN in each or LOOK in each]
    assert kinds == [LOOK, LISTEN, LOOK]


def test_listen_and_load_in_one_transaction(client: Client, editor: Editor, hooks: Hooks) -> None:
    """LISTEN is committed when the look runs: what is committed between them is announced."""
    states: list[int] = []

    def edit(wire: Wire, _: str) -> None:
        states.append(wire._pgconn.transaction_status)
        editor.temperature(0.25)

    hooks.after[LISTEN] = lambda *_: hooks.before.update({LOOK: edit})
    client.start()
    client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.25)
    editor.settled()
    hooks.after[LOOK] = edit  # the next one, which the notification causes
    client.wait_for(editor.temperature(0.3))

    eventually(lambda: len(states) == 2)
    client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.25)
    assert states == [pq.TransactionStatus.IDLE] * 2


def test_reconnect_without_listen(client: Client, editor: Editor) -> None:
    """The new connection listens: a later edit arrives, though no heartbeat comes."""
    client.start()
    editor.terminate()
    eventually(lambda: client.status().reconnects == 1 and client.status().healthy)

    assert client.wait_for(editor.temperature(0.2)).ai_infra.llm_temperature == 0.2


def test_reconnect_without_reload(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new connection looks: an edit of the time without a link arrives, though nothing announces it again."""
    client.start()
    away, back = threading.Event(), threading.Event()
    connect = Wire.connect

    def held(*args: object, **rest: object) -> Wire:
        away.set()
        back.wait(timeout=10)
        return connect(*args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Wire, "connect", held)
    editor.terminate()
    assert away.wait(timeout=20)
    assert client.status().state == "stale"
    while_away = editor.temperature(0.1)
    back.set()

    assert client.wait_for(while_away, timeout=20).ai_infra.llm_temperature == 0.1


def test_half_open_link(through: str, proxy: Proxy, editor: Editor) -> None:
    """A connection that only looks alive is found out by its heartbeat, and replaced."""
    with Client(through, heartbeat=0.5) as client:
        proxy.abandon()
        client.wait_for(editor.temperature(0.1), timeout=0.5 * 1.2 + 10)
        assert client.status().reconnects == 1


def test_heartbeat_that_checks_nothing(database: str, editor: Editor, hooks: Hooks) -> None:
    """It asks whether the session still listens; when it does not, a new one does."""
    with Client(database, heartbeat=0.05) as client:
        (deaf,) = editor.readers()
        hooks.before[LOOK] = lambda wire, _: wire.query("UNLISTEN *", timeout=5)

        eventually(lambda: client.status().reconnects == 1)
        eventually(lambda: len(editor.readers()) == 1)
        assert editor.readers() != [deaf]


def test_notification_during_another_statement(client: Client, editor: Editor, hooks: Hooks) -> None:
    """It is read off the socket together with the statement's answer, and counts all the same."""
    client.start()
    editor.settled()

    def edit_and_wait(wire: Wire, _: str) -> None:
        editor.temperature(0.25)
        wire.query("SELECT pg_sleep(0.05)", timeout=5)  # by its end the notification has arrived

    hooks.before["set_config('application_name'"] = edit_and_wait
    editor.temperature(0.1)

    client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.25)


def test_notification_during_a_reload_dropped(client: Client, editor: Editor, hooks: Hooks) -> None:
    """One that comes while the document is loaded causes another look."""
    client.start()
    editor.settled()
    hooks.after[LOOK] = lambda *_: editor.temperature(0.25)
    editor.temperature(0.1)

    client.wait_for(until=lambda cfg: cfg.ai_infra.llm_temperature == 0.25)


def test_backlog_that_grows(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notifications that arrived are all taken off the connection, however many there are."""
    left: list[object] = []
    notified = Wire.notified

    def looked(wire: Wire, timeout: float) -> bool:
        came = notified(wire, timeout)
        left.append(wire._pgconn.notifies())
        return came

    monkeypatch.setattr(Wire, "notified", looked)
    client.start()
    editor.settled()

    editor.run("SELECT pg_notify('hotconfig', i::text) FROM generate_series(1, 10000) AS i")
    client.wait_for(editor.temperature(0.1))

    assert left
    assert set(left) == {None}


def test_execute_inside_notifies(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement is sent while notifications are being read, which deadlocks: the wait has ended before."""
    waiting: set[int] = set()
    notified, query = Wire.notified, Wire.query
    inside: list[str] = []

    def wait(wire: Wire, timeout: float) -> bool:
        waiting.add(id(wire))
        try:
            return notified(wire, timeout)
        finally:
            waiting.discard(id(wire))

    def ask(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        if id(wire) in waiting:
            inside.append(statement)
        return query(wire, statement, *params, **limits)

    monkeypatch.setattr(Wire, "notified", wait)
    monkeypatch.setattr(Wire, "query", ask)
    client.start()
    for tokens in range(1, 50):
        editor.tokens(tokens)
    client.wait_for(editor.tokens(50))

    assert inside == []


def test_loop_that_never_returns_to_its_heartbeat(database: str, editor: Editor, hooks: Hooks) -> None:
    """While notifications keep coming, the looks that they cause ask what a heartbeat asks."""
    stop = threading.Event()

    def flood() -> None:
        while not stop.wait(0.002):
            editor.run("NOTIFY hotconfig")

    with Client(database, heartbeat=FOREVER) as client:
        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            hooks.before[LOOK] = lambda wire, _: wire.query("UNLISTEN *", timeout=5)
            eventually(lambda: client.status().reconnects == 1)
        finally:
            stop.set()
            flooding.join()


def test_older_load_in_flight_overwrites_newer(client: Client, editor: Editor) -> None:
    """Of 1500 versions in a row each one that is seen is what it says, none comes late, and the last is applied."""
    start = client.start().current()
    told: list[Change] = []
    client.subscribe(told.append)

    editor.run("""
        DO $$ BEGIN FOR i IN 1..1500 LOOP
            UPDATE config_ai_infra SET llm_max_tokens = i;
            COMMIT;
        END LOOP; END $$
    """)

    last = client.wait_for(start.version + 1500, timeout=40)
    assert last.ai_infra.llm_max_tokens == 1500
    eventually(lambda: told and told[-1].new is last)
    for change in told:
        assert change.new.version - start.version == change.new.ai_infra.llm_max_tokens
        assert change.old.version < change.new.version
    assert [change.old for change in told] == [start, *(change.new for change in told[:-1])]


def test_burst_of_notifications(client: Client, editor: Editor) -> None:
    """After 5000 notifications in one transaction, the edit behind them is applied."""
    client.start()
    editor.run("SELECT pg_notify('hotconfig', i::text) FROM generate_series(1, 5000) AS i")
    assert client.wait_for(editor.temperature(0.1)).ai_infra.llm_temperature == 0.1


def test_forged_notifications(client: Client, editor: Editor, statements: list[str]) -> None:
    """Ten thousand of anybody's, long ones and wrong ones: at most 200 looks a second, and nothing is applied."""
    client.start()
    editor.settled()
    before = client.current()
    statements.clear()
    began = time.monotonic()

    editor.run("SELECT pg_notify('hotconfig', i || repeat('x', 500)) FROM generate_series(1, 8000) AS i")
    for forged in ("", "-1", "99999999999999999999", "x" * 7999):
        editor.run("SELECT pg_notify('hotconfig', %s)", [forged])
    for each in range(2000):
        editor.run("SELECT pg_notify('hotconfig', %s)", [str(each)])
    version = editor.publish("talker", "{}")

    assert client.wait_for(version) is before
    assert len(statements) <= 3 + (time.monotonic() - began) / 0.005


def test_58p01_on_listen(client: Client, editor: Editor, hooks: Hooks, statements: list[str]) -> None:
    """A server whose queue needs a file that VACUUM removed refuses LISTEN until somebody moves the queue on."""

    def refuse(wire: Wire, statement: str) -> None:
        raise Refused("58P01", 'could not access status of transaction 1: could not open file "pg_xact/0000"')

    hooks.before[LISTEN] = refuse
    client.start()

    def kinds() -> list[list[str]]:
        return [each.split()[-2:] for each in statements if LISTEN in each or "queue" in each]

    told = [[LISTEN, '"hotconfig"'], ["SELECT", "pg_notification_queue_usage()"], [LISTEN, '"hotconfig"']]
    eventually(lambda: kinds() == told)
    assert client.wait_for(editor.temperature(0.1)).ai_infra.llm_temperature == 0.1


def test_idle_in_transaction(client: Client, editor: Editor) -> None:
    """Between its statements a session holds no snapshot and no transaction, so the server's queue moves on."""

    def sessions() -> list[tuple[object, ...]]:
        return editor.connection.execute(
            "SELECT state, xact_start, backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = ANY (%s)",
            [editor.readers()],
        ).fetchall()

    client.start()
    for temperature in (0.1, 0.2):
        client.wait_for(editor.temperature(temperature))
        editor.settled()
        # Its name is there a moment before the statement that set it has ended.
        eventually(lambda: sessions() == [("idle", None, None, None)])
