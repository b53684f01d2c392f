"""A document that cannot be used: the last good snapshot serves on, and everybody can see why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, LiteralString

import pytest
from editing import Editor, eventually
from feeds import Where
from pydantic import Field

from hotconfig import (
    Client,
    InvalidConfig,
    NoSuchProfile,
    ProfileInfo,
    Section,
    Snapshot,
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
def strict(where: Where) -> Iterator[Client[StrictConfig]]:
    with Client(where.url, model=StrictConfig, heartbeat=1000) as client:
        yield client


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the library logs from now on, at INFO and above."""
    with caplog.at_level(logging.INFO, logger="hotconfig"):
        yield caplog


def lines(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == level]


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
    strict: Client[StrictConfig], where: Where, editor: Editor, log: pytest.LogCaptureFixture
) -> None:
    """Other versions and reconnects do not validate it again: one ERROR, with the path and without the value."""
    editor.run("UPDATE config_ai_infra SET llm_temperature = 0.93, llm_endpoint = 'secret-endpoint'")
    for each in range(3):
        version = editor.publish("talker", f'{{"n": {each}}}')
        with pytest.raises(InvalidConfig):
            strict.wait_for(version)
    where.terminate()
    eventually(lambda: strict.status().reconnects == 1)

    (error,) = lines(log, logging.ERROR)
    assert "ai_infra.llm_temperature" in error
    assert "0.93" not in log.text
    assert "secret-endpoint" not in log.text


def test_a_rejection_outlives_the_link(strict: Client[StrictConfig], where: Where, editor: Editor) -> None:
    """A version that was seen and rejected raises InvalidConfig, also when the link is down meanwhile."""
    bad = editor.temperature(0.9)
    with pytest.raises(InvalidConfig):
        strict.wait_for(bad)
    where.close()
    eventually(lambda: strict.status().state == "stale")

    with pytest.raises(InvalidConfig):
        strict.wait_for(bad, timeout=0)


def test_a_validator_may_raise_anything(where: Where, editor: Editor, log: pytest.LogCaptureFixture) -> None:
    """An exception in a model's code is a rejection, told by its type alone."""

    class Odd(Snapshot):
        n: int

        def model_post_init(self, _: object) -> None:
            if self.n > 1:
                raise ZeroDivisionError("the secret")

    editor.publish("odd", '{"n": 1}')
    with Client(where.url, model=Odd, document="odd", heartbeat=1000) as client:
        with pytest.raises(InvalidConfig, match="ZeroDivisionError"):
            client.wait_for(editor.publish("odd", '{"n": 2}'))
        assert client.wait_for(editor.publish("odd", '{"n": 0}')).n == 0
    assert "the secret" not in log.text


def test_a_comparison_may_raise_anything(where: Where, editor: Editor, log: pytest.LogCaptureFixture) -> None:
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
    with Client(where.url, model=Odd, document="odd", heartbeat=1000) as client:
        client.wait_for(editor.publish("odd", '{"text": "b"}'))
        client.wait_for(editor.publish("odd", '{"text": "c"}'))
        assert client.status().healthy
    assert "the secret" not in log.text


def test_a_falsy_snapshot_is_a_snapshot(where: Where, editor: Editor) -> None:
    """A model may be empty as a container is."""

    class Falsy(Snapshot):
        def __len__(self) -> int:
            return 0

    editor.publish("falsy", "{}")
    with Client(where.url, model=Falsy, document="falsy") as client:
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
    where: Where, editor: Editor, log: pytest.LogCaptureFixture, gone: LiteralString
) -> None:
    """Deleted or renamed: its last snapshot serves on, the error says so, the state stays live, and it comes back."""
    editor.run("INSERT INTO config_profiles (name) VALUES ('x')")
    with Client(where.url, model=Named, profile="x", heartbeat=1000) as client:
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
