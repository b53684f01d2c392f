"""hotconfig.testing.override: what an application's tests run with, and no database anywhere near."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from editing import Editor
from feeds import Where
from pydantic import SecretStr, ValidationError

import hotconfig
from hotconfig import Change, Client, Closed, ProfileConfig, Section, Snapshot, Timeout, Unavailable
from hotconfig._api import default
from hotconfig._wire import Wire
from hotconfig.profile import default_profile
from hotconfig.testing import override


class Limits(Section):
    rate: int = 1
    tags: tuple[str, ...] = ()


class Own(Snapshot):
    limits: Limits = Limits()
    by_name: Mapping[str, Limits] = {}
    key: SecretStr = SecretStr("k")


@pytest.fixture
def nobody_connects(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever connects fails the test."""
    attempts: list[object] = []
    monkeypatch.setattr(Wire, "connect", lambda *args, **_: attempts.append(args))
    yield
    assert attempts == []


@pytest.fixture(autouse=True)
def _unused() -> Iterator[None]:
    """The default client is as in a process that has not used it."""
    Client.__init__(default)
    yield
    default.close()


@pytest.fixture
def own(nobody_connects: None) -> Iterator[Client[Own]]:
    client = Client(model=Own, document="own")
    yield client
    client.close()


def test_paths(nobody_connects: None) -> None:
    """The paths change, the rest is as `hotconfig init` writes it; nothing is started."""
    with override({"ai_infra.llm_temperature": 0.1, "prompts.system_prompt": "hi"}) as cfg:
        assert hotconfig.current() is cfg
        assert cfg.ai_infra.llm_temperature == 0.1
        assert cfg.prompts.system_prompt == "hi"
        assert cfg.ai_infra.llm_max_tokens == default_profile().ai_infra.llm_max_tokens
        hotconfig.subscribe(print).cancel()
        with hotconfig.pinned() as pinned:
            assert pinned is cfg
        assert hotconfig.wait_for(until=lambda c: c is cfg) is cfg
        assert hotconfig.start() is not None
        assert hotconfig.status().state != "live"


def test_a_whole_snapshot(own: Client[Own]) -> None:
    """For a client of your own: in every thread, and only there."""
    whole = Own(limits=Limits(rate=5))
    with override(whole, client=own), ThreadPoolExecutor(1) as pool:
        assert pool.submit(own.current).result() is whole


def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards the client is what it was: not started, and the next override begins from the defaults."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    with override({"ai_infra.llm_temperature": 0.1}):
        pass
    with pytest.raises(Unavailable):
        hotconfig.current()
    with override({"ai_infra.llm_max_tokens": 5}) as cfg:
        assert cfg.ai_infra.llm_temperature == 0.7


def test_a_closed_client(own: Client[Own]) -> None:
    """A test that runs after the application's shutdown has a configuration, too."""
    own.close()
    with override(Own(limits=Limits(rate=5)), client=own) as cfg:
        assert own.current() is cfg
        assert own.wait_for(until=lambda c: c is cfg) is cfg
        with pytest.raises(Timeout):
            own.wait_for(until=lambda _: False, timeout=0.01)
    with pytest.raises(Closed):
        own.current()


def test_a_closed_client_leaves_nothing_to_later_tests(where: Where, editor: Editor) -> None:
    """Paths change the defaults of init, not what the client had when it was closed."""
    editor.temperature(0.33)
    with hotconfig.start(where.url):
        assert hotconfig.current().ai_infra.llm_temperature == 0.33
    with override({}) as cfg:
        assert cfg.ai_infra.llm_temperature == 0.7


def test_it_nests(own: Client[Own]) -> None:
    """The inner one builds upon the outer one; one snapshot may be given twice."""
    outer = Own(limits=Limits(rate=5))
    with override(outer, client=own):
        with override({"limits.tags": ("a",)}, client=own) as inner:
            assert inner.limits == Limits(rate=5, tags=("a",))
            assert own.current() is inner
        assert own.current() is outer
        with override(outer, client=own):
            pass
        assert own.current() is outer


def test_two_threads_may_end_out_of_order(own: Client[Own]) -> None:
    """An override ends its own, not the one that came last."""
    first, second = Own(limits=Limits(rate=1)), Own(limits=Limits(rate=2))
    one, two = override(first, client=own), override(second, client=own)
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert own.current() is second
    two.__exit__(None, None, None)
    assert own._overrides == ()


def test_it_starts_from_the_running_client(where: Where, editor: Editor) -> None:
    """The base is the client's snapshot; edits that come within are served afterwards."""
    with Client(where.url, heartbeat=1000) as client:
        with override({"ai_infra.llm_temperature": 0.9}, client=client) as cfg:
            assert cfg.version == editor.version()
            version = editor.tokens(7)
            client.wait_for(version)
            assert client.current() is cfg
        assert client.current().version == version


def test_subscribers_are_told_before_it_goes_on(own: Client[Own]) -> None:
    """When it is entered and when it is left, in full, each before the next line runs."""
    told: list[tuple[tuple[str, ...], int]] = []

    def tell(change: Change[Own]) -> None:
        told.append((change.paths, change.new.limits.rate))

    with override(Own(), client=own), own.subscribe(tell):
        with override({"limits.rate": 2}, client=own):
            assert told == [(("limits.rate",), 2)]
        assert told[1:] == [(("limits.rate",), 1)]


def test_an_override_in_a_callback(own: Client[Own]) -> None:
    """It does not wait for the thread that it runs on."""
    done = threading.Event()

    def tell(change: Change[Own]) -> None:
        with override({"limits.rate": 3}, client=own):
            done.set()

    with override(Own(), client=own), own.subscribe(tell), override({"limits.rate": 2}, client=own):
        assert done.wait(timeout=10)


@pytest.mark.parametrize("path", ["nope", "limits.nope", "limits.rate.nope", "limits.tags.a", "key.k", "nope.rate"])
def test_a_path_that_names_nothing(own: Client[Own], path: str) -> None:
    """KeyError names the path and the model, whatever it runs into."""
    with override(Own(limits=Limits(tags=("a",))), client=own), pytest.raises(KeyError, match=f"'{path}' is no .* Own"):
        override({path: 1}, client=own)


def test_a_path_into_a_text() -> None:
    """A text has no fields, also if it contains the name."""
    with pytest.raises(KeyError, match="is no field"):
        override({"ai_infra.llm_endpoint.d": "x"})


def test_a_mapping_may_get_a_key(own: Client[Own]) -> None:
    """Its keys are not fields of the model."""
    with override(Own(), client=own), override({"by_name.new": {"rate": 4}}, client=own) as cfg:
        assert cfg.by_name["new"] == Limits(rate=4)
        assert cfg.key.get_secret_value() == "k"


def test_a_value_that_breaks_a_rule() -> None:
    """A test cannot run with what production would reject."""
    with pytest.raises(ValidationError, match="llm_temperature"):
        override({"ai_infra.llm_temperature": 2})


def test_paths_need_something_to_change(own: Client[Own]) -> None:
    """A model of your own has no defaults of `hotconfig init`."""
    with pytest.raises(TypeError, match="whole snapshot"):
        override({"limits.rate": 1}, client=own)


def test_what_raises_within_ends_it(own: Client[Own]) -> None:
    """The exception passes through."""
    with pytest.raises(ZeroDivisionError), override(Own(), client=own):
        raise ZeroDivisionError
    assert own._overrides == ()


def test_the_fixture(hotconfig_override: object) -> None:
    """The plugin is installed with the library."""
    assert callable(hotconfig_override)
    cfg: ProfileConfig = hotconfig_override({"ai_infra.llm_temperature": 0.1})
    assert hotconfig.current() is cfg


def test_the_fixture_ends_with_the_test(tmp_path: Path) -> None:
    """In a project of somebody else's: the next test has the defaults again."""
    (tmp_path / "test_theirs.py").write_text("""
import hotconfig

def test_one(hotconfig_override):
    hotconfig_override({"ai_infra.llm_temperature": 0.1})
    cfg = hotconfig_override({"ai_infra.llm_max_tokens": 5})
    assert hotconfig.current() is cfg
    assert (cfg.ai_infra.llm_temperature, cfg.ai_infra.llm_max_tokens) == (0.1, 5)

def test_two(hotconfig_override):
    assert hotconfig_override({}).ai_infra.llm_temperature == 0.7
""")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-W", "error", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
