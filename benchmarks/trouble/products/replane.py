"""Replane's synchronous client."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.trouble.stub import State, Stub, event
from benchmarks.trouble.subject import DoesNotApply, Product

CONFIG = "limit"


class Client:
    def start(self, url: str) -> None:
        from replane import Replane

        self._client = Replane(base_url=url, sdk_key="rp_key")
        self._client.connect()

    def read(self) -> object:
        value: object = self._client.configs[CONFIG]
        return value

    def subscribe(self, callback: Callable[[object], object]) -> None:
        self._client.subscribe_config(CONFIG, lambda config: callback(config.value))

    def after_fork(self) -> None:
        raise DoesNotApply("says nothing of forks")

    def close(self) -> None:
        self._client.close()


class Streaming:
    """Events without a name: one with everything when a stream begins, and one for each change."""

    stream = "/api/sdk/v1/replication/stream"
    changed = ""

    def document(self, path: str, state: State) -> object:
        """Nothing: it only streams."""

    def opening(self, state: State) -> bytes:
        return event("", {"type": "init", "configs": [config(state)]})

    def change(self, state: State) -> object:
        return {"type": "config_change", "config": config(state)}


def config(state: State) -> dict[str, object]:
    return {"name": CONFIG, "value": state.value, "overrides": []}


PRODUCT = Product(
    "Replane",
    "replane",
    "Replane with its default options; it gives its stream up after each second of silence, and then waits ever longer",
    Client,
    lambda: Stub(Streaming()),
)
