"""The listener on its one connection: no edit is lost, nothing is asked too often. Faults of the link are elsewhere."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from conftest import Connect
from editing import Editor, eventually

from hotconfig import Change, Client
from hotconfig._wire import Refused, Row, Wire

FOREVER = 1000  # a heartbeat that never comes: what arrives was announced


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    """Not started."""
    client = Client(database, heartbeat=FOREVER)
    yield client
    client.close()


Hook = Callable[[Wire, str], object]


class Hooks:
    """What happens around a statement of a reader: at the first one that contains a text, and only then."""

    def __init__(self) -> None:
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    hooks = Hooks()
    query = Wire.query

    def hooked(wire: Wire, statement: str, *params: str | None, **limits: float) -> list[Row]:
        fire(hooks.before, wire, statement)
        rows = query(wire, statement, *params, **limits)
        fire(hooks.after, wire, statement)
        return rows

    def fire(which: dict[str, Hook], wire: Wire, statement: str) -> None:
        for text in [text for text in which if text in statement]:
            which.pop(text)(wire, statement)

    monkeypatch.setattr(Wire, "query", hooked)
    return hooks


LISTEN, LOOK, ACKNOWLEDGE = "LISTEN", "config_state", "application_name"


@pytest.mark.parametrize(
    ("when", "statement"),
    [
        ("before", LISTEN),
        ("after", LISTEN),
        ("before", LOOK),
        ("after", LOOK),
        ("before", ACKNOWLEDGE),
        ("after", ACKNOWLEDGE),
    ],
)
@pytest.mark.parametrize("running", [False, True])
def test_no_moment_loses_an_edit(
    client: Client, editor: Editor, hooks: Hooks, *, running: bool, when: str, statement: str
) -> None:
    """An edit that is committed just before or after any statement of the listener arrives, without another one.

    Its notification may come before LISTEN, or be read off the socket with the answer to another statement.
    """
    committed = threading.Event()

    def edit(wire: Wire, statement: str) -> None:
        editor.temperature(0.25)
        committed.set()

    if running:
        client.start()
    getattr(hooks, when)[statement] = edit
    if running and statement == LISTEN:
        editor.terminate()
    elif running:
        editor.temperature(0.5)
    client.start()

    assert committed.wait(timeout=20)
    assert client.wait_for(editor.version(), timeout=20).ai_infra.llm_temperature == 0.25


def test_starts_beside_a_busy_writer_converge(database: str, connect: Connect) -> None:
    """Each of 60 clients that start while somebody edits ends with the last edit, though no heartbeat comes."""
    editor = Editor(connect())
    for _ in range(60):
        barrier = threading.Barrier(2)

        def edit(barrier: threading.Barrier = barrier) -> int:
            barrier.wait(timeout=10)
            for _ in range(random.randint(1, 6)):
                editor.tokens(random.randint(1, 1_000_000))
            return editor.version()

        with ThreadPoolExecutor(1) as pool:
            edited = pool.submit(edit)
            barrier.wait(timeout=10)
            with Client(database, heartbeat=FOREVER) as client:
                version = edited.result(timeout=10)
                snapshot = client.wait_for(version, timeout=20)
        assert snapshot.version == version
        assert snapshot.ai_infra.llm_max_tokens == editor.ask("SELECT llm_max_tokens FROM config_ai_infra")


def test_reconnect_listens_and_looks_again(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that is made while the link is down arrives with the new link, and so does the next one."""
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

    client.wait_for(while_away, timeout=20)
    client.wait_for(editor.temperature(0.2))
    assert client.status().reconnects == 1
    assert client.status().healthy


def test_a_burst_is_followed_in_order_to_its_end(client: Client, editor: Editor) -> None:
    """Of 3000 versions in a row each one that is seen is what it says, none comes late, and the last is applied."""
    start = client.start().current()
    told: list[Change] = []
    client.subscribe(told.append)

    editor.run("""
        DO $$ BEGIN FOR i IN 1..3000 LOOP
            UPDATE config_ai_infra SET llm_max_tokens = i;
            COMMIT;
        END LOOP; END $$
    """)

    last = client.wait_for(start.version + 3000, timeout=30)
    assert last.ai_infra.llm_max_tokens == 3000
    eventually(lambda: told and told[-1].new is last)
    for change in told:
        assert change.new.version - start.version == change.new.ai_infra.llm_max_tokens
        assert change.old.version < change.new.version
    assert [change.old for change in told] == [start, *(change.new for change in told[:-1])]


def test_forged_notifications_cost_a_bounded_number_of_looks(
    client: Client, editor: Editor, statements: list[str]
) -> None:
    """Ten thousand of anybody's, long ones and wrong ones: at most 200 looks a second, and nothing is applied."""
    client.start()
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


def test_nothing_piles_up(client: Client, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notifications that arrived are all taken off the connection, however many there are."""
    left: list[object] = []
    notified = Wire.notified

    def looked(wire: Wire, timeout: float) -> bool:
        came = notified(wire, timeout)
        left.append(wire._pgconn.notifies())
        return came

    monkeypatch.setattr(Wire, "notified", looked)
    client.start()

    editor.run("SELECT pg_notify('hotconfig', i::text) FROM generate_series(1, 10000) AS i")
    client.wait_for(editor.temperature(0.1))

    assert left
    assert set(left) == {None}


def acknowledged(editor: Editor, version: int) -> bool:
    return all(name.startswith(f"hotconfig:{version}:") for name in editor.registry())


def test_a_heartbeat_is_one_statement(database: str, statements: list[str]) -> None:
    """When nothing happens the one statement is the look."""
    with Client(database, heartbeat=0.02):
        eventually(lambda: len(statements) > 5)
        statements.clear()
        eventually(lambda: len(statements) > 10)
    assert {"config_state" in each and "pg_listening_channels" in each for each in statements} == {True}


def test_a_change_is_two_statements(client: Client, editor: Editor, statements: list[str]) -> None:
    """The look that brings it, and the acknowledgement, also for a change of another document."""
    client.start()
    eventually(partial(acknowledged, editor, editor.version()))
    for version in (1, 2, 3):
        statements.clear()
        newest = editor.temperature(version / 10) if version < 3 else editor.publish("talker", "{}")
        eventually(partial(acknowledged, editor, newest))
        assert ["config_state" in each for each in statements] == [True, False]


def test_an_idle_connection_is_in_no_transaction(client: Client, editor: Editor) -> None:
    """Between its statements a session holds no snapshot and no transaction back."""

    def sessions() -> list[tuple[object, ...]]:
        return editor.connection.execute(
            "SELECT state, xact_start, backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = ANY (%s)",
            [editor.readers()],
        ).fetchall()

    client.start()
    for temperature in (0.1, 0.2):
        client.wait_for(editor.temperature(temperature))
        eventually(partial(acknowledged, editor, editor.version()))
        # Its name is there a moment before the statement that set it has ended.
        eventually(lambda: sessions() == [("idle", None, None, None)])


def test_a_heartbeat_finds_what_was_not_announced(database: str, editor: Editor) -> None:
    """A version that came without a notification is found at the next heartbeat."""
    with Client(database, heartbeat=0.1) as client:
        editor.run("""
            WITH next AS (UPDATE config_state SET version = version + 1, token = gen_random_uuid() RETURNING *)
            UPDATE config_documents d SET version = next.version, token = next.token,
                document = jsonb_set(document, '{ai_infra,llm_temperature}', '0.11') FROM next
        """)

        assert client.wait_for(editor.version()).ai_infra.llm_temperature == 0.11
        assert client.status().rewinds == client.status().reconnects == 0


def test_a_session_that_no_longer_listens_is_given_up(database: str, editor: Editor, hooks: Hooks) -> None:
    """A heartbeat checks that the session still listens; if not, a new one does."""
    with Client(database, heartbeat=0.05) as client:
        (deaf,) = editor.readers()

        def unlisten(wire: Wire, statement: str) -> None:
            wire.query("UNLISTEN *", timeout=5)

        hooks.before[LOOK] = unlisten

        eventually(lambda: client.status().reconnects == 1)
        eventually(lambda: len(editor.readers()) == 1)
        assert editor.readers() != [deaf]


def test_a_slow_callback_does_not_hold_the_listener(client: Client, editor: Editor) -> None:
    """While a subscriber is stuck, versions come in and are acknowledged."""
    stuck, go_on = threading.Event(), threading.Event()

    def slow(_: Change) -> None:
        stuck.set()
        go_on.wait(timeout=30)

    client.subscribe(slow)
    editor.temperature(0.1)
    assert stuck.wait(timeout=10)

    for temperature in (0.2, 0.3, 0.4):
        client.wait_for(editor.temperature(temperature))
    eventually(partial(acknowledged, editor, editor.version()))
    go_on.set()


def test_a_document_larger_than_a_notification(client: Client, editor: Editor) -> None:
    """A prompt of 1 MB commits and arrives: the notification does not carry it."""
    client.start()

    editor.run("UPDATE config_prompts SET system_prompt = repeat('x', 1048576)")

    assert len(client.wait_for(editor.version()).prompts.system_prompt) == 1048576


def test_listen_is_repeated_after_58p01(client: Client, editor: Editor, hooks: Hooks, statements: list[str]) -> None:
    """A server whose queue needs a file that VACUUM removed refuses LISTEN until somebody moves the queue on."""

    def refuse(wire: Wire, statement: str) -> None:
        raise Refused("58P01", 'could not access status of transaction 1: could not open file "pg_xact/0000"')

    hooks.before[LISTEN] = refuse
    client.start()

    assert [each for each in statements if "LISTEN" in each or "queue" in each] == [
        'LISTEN "hotconfig"',
        "SELECT pg_notification_queue_usage()",
        'LISTEN "hotconfig"',
    ]
    assert client.wait_for(editor.temperature(0.1)).ai_infra.llm_temperature == 0.1
