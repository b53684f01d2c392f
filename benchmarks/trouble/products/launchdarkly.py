"""LaunchDarkly's server-side SDK."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.trouble.stub import State, Stub, event
from benchmarks.trouble.subject import DEFAULT, Product

FLAG = "limit"


class Client:
    """As the documentation has it: one LDClient, streaming, analytics events on."""

    def start(self, url: str) -> None:
        from ldclient import Context, LDClient
        from ldclient.config import Config

        self._context = Context.create("application")
        self._client = LDClient(Config("sdk-key", base_uri=url, stream_uri=url, events_uri=url), start_wait=10)
        if not self._client.is_initialized():
            raise RuntimeError("LDClient has not started")

    def read(self) -> object:
        value: object = self._client.variation(FLAG, self._context, DEFAULT)
        return value

    def subscribe(self, callback: Callable[[object], object]) -> None:
        tracker = self._client.flag_tracker
        tracker.add_flag_value_change_listener(FLAG, self._context, lambda change: callback(change.new_value))

    def after_fork(self) -> None:
        self._client.postfork()

    def close(self) -> None:
        self._client.close()


class Streaming:
    """`put` with everything when a stream begins, `patch` for a change."""

    stream = "/all"
    changed = "patch"

    def document(self, path: str, state: State) -> object:
        """Nothing: what else it sends are analytics and diagnostics."""

    def opening(self, state: State) -> bytes:
        return event("put", {"path": "/", "data": {"flags": {FLAG: flag(state)}, "segments": {}}})

    def change(self, state: State) -> object:
        return {"path": f"/flags/{FLAG}", "data": flag(state)}


def flag(state: State) -> dict[str, object]:
    return {
        "key": FLAG,
        "version": state.version,
        "on": True,
        "variations": [state.value],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "salt": "salt",
        "deleted": False,
    }


PRODUCT = Product(
    "LaunchDarkly",
    "launchdarkly-server-sdk",
    "LDClient, streaming, which it gives up after 5 minutes of silence",
    Client,
    lambda: Stub(Streaming()),
)
