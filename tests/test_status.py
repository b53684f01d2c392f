"""What a client says of itself: status, wait_for and the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from editing import Editor, eventually
from feeds import Where

from hotconfig import (
    Client,
    Closed,
    ProfileConfig,
    Timeout,
)


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    with Client(where.url, heartbeat=1000) as client:
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


# ---- the log


def test_the_log_has_paths_and_no_values(where: Where, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """INFO says that it started, what it applied, and that it stopped."""
    with Client(where.url, heartbeat=1000) as client:
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


def test_the_loss_of_a_link_is_logged_once(client: Client, where: Where, log: pytest.LogCaptureFixture) -> None:
    """One WARNING when it goes, one INFO with the number of failures when it is back."""
    where.close()
    eventually(lambda: client._run is not None and client._run.content._failures >= 4)
    where.open()
    eventually(lambda: client.status().healthy)

    (warning,) = lines(log, logging.WARNING)
    (info,) = lines(log, logging.INFO)
    assert "the last snapshot serves on" in warning
    assert "the link is back after" in info
