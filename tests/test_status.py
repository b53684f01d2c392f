"""What a client says of itself: status, wait_for, log. And what it does with a document that it cannot use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, LiteralString

import pytest
from editing import Editor, eventually
from pydantic import Field

from hotconfig import (
    Client,
    Closed,
    InvalidConfig,
    NoSuchProfile,
    ProfileConfig,
    ProfileInfo,
    Section,
    Snapshot,
    Timeout,
)


class Strict(Section):
    llm_temperature: Annotated[float, Field(le=0.8)]
    llm_endpoint: str


class StrictConfig(Snapshot):
    """Stricter than the database's constraints, as a process of an older release may be."""

    ai_infra: Strict


class Named(Snapshot):
    """The part of a profile that needs no settings."""

    profile: ProfileInfo


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database, heartbeat=1000) as client:
        yield client


@pytest.fixture
def strict(database: str) -> Iterator[Client[StrictConfig]]:
    with Client(database, model=StrictConfig, heartbeat=1000) as client:
        yield client


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the library logs from now on, at INFO and above."""
    with caplog.at_level(logging.INFO, logger="hotconfig"):
        yield caplog


def lines(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == level]


# ---- status


def test_status_before_the_start(database: str) -> None:
    """It starts nothing, and knows only what is followed."""
    client = Client(database, profile="x")

    status = client.status()

    assert (status.state, status.document, status.version, status.staleness) == ("new", "profile/x", None, None)
    assert not status.healthy


def test_status_when_live(client: Client, editor: Editor) -> None:
    """Versions, and when they came; the version moves on with every transaction, the document's with its own."""
    start = client.status()
    assert start.healthy
    assert (start.state, start.error, start.rejected_version) == ("live", None, None)
    assert start.version == start.document_version == client.current().version == editor.version()
    assert start.applied_at is not None
    assert start.applied_at <= datetime.now(UTC)
    assert start.staleness is not None
    assert start.staleness >= 0

    other = editor.publish("talker", "{}")
    client.wait_for(other)

    later = client.status()
    assert (later.version, later.document_version) == (other, start.document_version)
    assert later.applied_at == start.applied_at
    assert later.checked_at is not None
    assert start.checked_at is not None
    assert later.checked_at > start.checked_at
    assert (later.reconnects, later.rewinds) == (0, 0)


def test_status_after_close(client: Client) -> None:
    """Closed, with the versions as they were."""
    version = client.status().version

    client.close()

    assert (client.status().state, client.status().version) == ("closed", version)
    assert not client.status().healthy


# ---- wait_for


def test_wait_for_a_version_that_was_seen(client: Client) -> None:
    """It returns at once, whatever the timeout."""
    assert client.wait_for(client.current().version, timeout=0) is client.current()


def test_wait_for_a_version_of_another_document(client: Client, editor: Editor) -> None:
    """Seen is enough: the snapshot is the one of before."""
    before = client.current()

    assert client.wait_for(editor.publish("talker", "{}")) is before


def test_wait_for_a_condition(client: Client, editor: Editor) -> None:
    """`until` is asked about every new snapshot, in the thread that waits, and without a limit if there is none."""
    asked: list[threading.Thread] = []

    def calm(cfg: ProfileConfig) -> bool:
        asked.append(threading.current_thread())
        return cfg.ai_infra.llm_temperature < 0.2

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_for, until=calm, timeout=None)
        eventually(lambda: asked)
        client.wait_for(editor.temperature(0.5))
        editor.temperature(0.1)
        assert waiting.result(timeout=10).ai_infra.llm_temperature == 0.1

    assert threading.main_thread() not in asked
    assert len(asked) >= 2


def test_wait_for_what_never_comes(client: Client) -> None:
    """Timeout is a TimeoutError, and says what was waited for and what was seen."""
    newest = client.current().version

    with pytest.raises(Timeout, match=rf"version 99 .*0.01 s.* is {newest}$") as raised:
        client.wait_for(99, timeout=0.01)
    with pytest.raises(Timeout):
        client.wait_for(until=lambda _: False, timeout=0)

    assert isinstance(raised.value, TimeoutError)


def test_wait_for_needs_one_of_both(client: Client) -> None:
    """A version or a condition."""
    with pytest.raises(TypeError, match="version or until"):
        client.wait_for()  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="version or until"):
        client.wait_for(1, until=bool)  # type: ignore[call-overload]


def test_wait_for_ends_when_the_client_is_closed(client: Client) -> None:
    """Closed, and not a wait without end."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_for, 99, timeout=None)
        eventually(lambda: client._moved._waiters)  # type: ignore[attr-defined]
        client.close()
        assert isinstance(waiting.exception(timeout=10), Closed)


# ---- a document that does not fit


def test_a_bad_document_never_replaces_a_good_snapshot(strict: Client[StrictConfig], editor: Editor) -> None:
    """The last good one serves on, the status tells which version was rejected and why, the next good one is taken."""
    good = strict.current()

    bad = editor.temperature(0.9)
    with pytest.raises(InvalidConfig, match=r"ai_infra\.llm_temperature: .*less than or equal to 0\.8"):
        strict.wait_for(bad)

    assert strict.current() is good
    status = strict.status()
    assert (status.state, status.version, status.document_version) == ("live", bad, good.version)
    assert status.rejected_version == bad
    assert isinstance(status.error, InvalidConfig)
    assert not status.healthy

    mended = editor.temperature(0.1)
    assert strict.wait_for(mended).ai_infra.llm_temperature == 0.1
    assert strict.status().healthy
    assert strict.status().rejected_version is None


def test_a_bad_document_is_read_once(
    strict: Client[StrictConfig], editor: Editor, log: pytest.LogCaptureFixture
) -> None:
    """Other versions and reconnects do not validate it again: one ERROR, with the path and without the value."""
    editor.run("UPDATE config_ai_infra SET llm_temperature = 0.93, llm_endpoint = 'secret-endpoint'")
    for each in range(3):
        version = editor.publish("talker", f'{{"n": {each}}}')
        with pytest.raises(InvalidConfig):
            strict.wait_for(version)
    editor.terminate()
    eventually(lambda: strict.status().reconnects == 1)

    (error,) = lines(log, logging.ERROR)
    assert "ai_infra.llm_temperature" in error
    assert "0.93" not in log.text
    assert "secret-endpoint" not in log.text


def test_a_rejection_outlives_the_link(strict: Client[StrictConfig], editor: Editor) -> None:
    """A version that was seen and rejected raises InvalidConfig, also when the link is down meanwhile."""
    bad = editor.temperature(0.9)
    with pytest.raises(InvalidConfig):
        strict.wait_for(bad)
    editor.run("ALTER TABLE config_state RENAME TO config_state_")
    editor.terminate()
    eventually(lambda: strict.status().state == "stale")

    with pytest.raises(InvalidConfig):
        strict.wait_for(bad, timeout=0)


def test_a_validator_may_raise_anything(database: str, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """An exception in a model's code is a rejection, told by its type alone."""

    class Odd(Snapshot):
        n: int

        def model_post_init(self, _: object) -> None:
            if self.n > 1:
                raise ZeroDivisionError("the secret")

    editor.publish("odd", '{"n": 1}')
    with Client(database, model=Odd, document="odd", heartbeat=1000) as client:
        with pytest.raises(InvalidConfig, match="ZeroDivisionError"):
            client.wait_for(editor.publish("odd", '{"n": 2}'))
        assert client.wait_for(editor.publish("odd", '{"n": 0}')).n == 0
    assert "the secret" not in log.text


def test_a_comparison_may_raise_anything(database: str, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """A value whose __eq__ raises does not end the listener."""

    class Text(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError("the secret")

    class Odd(Snapshot):
        text: str

        def model_post_init(self, _: object) -> None:
            object.__setattr__(self, "text", Text(self.text))

    editor.publish("odd", '{"text": "a"}')
    with Client(database, model=Odd, document="odd", heartbeat=1000) as client:
        client.wait_for(editor.publish("odd", '{"text": "b"}'))
        client.wait_for(editor.publish("odd", '{"text": "c"}'))
        assert client.status().healthy
    assert "the secret" not in log.text


def test_a_falsy_snapshot_is_a_snapshot(database: str, editor: Editor) -> None:
    """A model may be empty as a container is."""

    class Falsy(Snapshot):
        def __len__(self) -> int:
            return 0

    editor.publish("falsy", "{}")
    with Client(database, model=Falsy, document="falsy") as client:
        assert client._fast is client.current()
        with client.pinned() as pinned:
            assert pinned is client.current()
        assert client.status().document_version == editor.version()


# ---- a profile that goes away


@pytest.mark.parametrize(
    "gone",
    ["DELETE FROM config_profiles WHERE name = 'x'", "UPDATE config_profiles SET name = 'z' WHERE name = 'x'"],
)
def test_a_profile_that_goes_away(
    database: str, editor: Editor, log: pytest.LogCaptureFixture, gone: LiteralString
) -> None:
    """Deleted or renamed: its last snapshot serves on, the error says so, the state stays live, and it comes back."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('x')")
    with Client(database, model=Named, profile="x", heartbeat=1000) as client:
        last = client.current()

        editor.run(gone)

        assert client.wait_for(editor.version()) is last
        assert client.status().state == "live"
        assert isinstance(client.status().error, NoSuchProfile)
        assert not client.status().healthy
        assert ["'x'" in line for line in lines(log, logging.WARNING)] == [True]
        editor.run("DELETE FROM config_profiles WHERE name = 'z'")
        editor.run("INSERT INTO config_profiles (name) VALUES ('x')")
        assert client.wait_for(editor.version()).profile.id > last.profile.id
        assert client.status().healthy


# ---- the log


def test_the_log_has_paths_and_no_values(database: str, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """INFO says that it started, what it applied, and that it stopped."""
    with Client(database, heartbeat=1000) as client:
        start = client.current().version
        editor.run("UPDATE config_prompts SET system_prompt = 'the secret prompt'")
        client.wait_for(editor.version())

    assert lines(log, logging.INFO) == [
        f"active: started at version {start}",
        f"active: applied version {start + 1}: prompts.system_prompt",
        "active: stopped",
    ]
    assert not lines(log, logging.WARNING)
    assert "secret" not in log.text


def test_the_loss_of_a_link_is_logged_once(client: Client, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """One WARNING when it goes, one INFO with the number of failures when it is back."""
    editor.run("ALTER TABLE config_state RENAME TO config_state_")
    editor.terminate()
    eventually(lambda: client._run is not None and client._run.content._failures >= 4)
    editor.run("ALTER TABLE config_state_ RENAME TO config_state")
    eventually(lambda: client.status().healthy)

    (warning,) = lines(log, logging.WARNING)
    (info,) = lines(log, logging.INFO)
    assert "the last snapshot serves on" in warning
    assert "the link is back after" in info
