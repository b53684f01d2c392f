"""Unleash's server-side SDK, streaming, which it calls experimental; its default is to poll every 15 s."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.trouble.stub import State, Stub, event
from benchmarks.trouble.subject import DoesNotApply, Product

FLAG = "limit"


class Client:
    def start(self, url: str) -> None:
        from UnleashClient import UnleashClient
        from UnleashClient.events import UnleashEventType

        ready = threading.Event()

        def happened(event: Any) -> None:
            if event.event_type == UnleashEventType.READY:
                ready.set()

        # A directory of its own: by default it finds on disk what another cell has left.
        self._cache = tempfile.TemporaryDirectory(prefix="unleash-")
        self._client = UnleashClient(
            url=f"{url}/api",
            app_name="application",
            custom_headers={"Authorization": "token"},
            cache_directory=self._cache.name,
            event_callback=happened,
            experimental_mode={"type": "streaming"},
        )
        self._client.initialize_client()
        if not ready.wait(10):
            raise RuntimeError("UnleashClient has not started")

    def read(self) -> object:
        value: object = self._client.get_variant(FLAG)["payload"]["value"]
        return value

    def subscribe(self, _: Callable[[object], object]) -> None:
        raise DoesNotApply("tells of changes only when it polls")

    def after_fork(self) -> None:
        raise DoesNotApply("says nothing of forks")

    def close(self) -> None:
        self._client.destroy()


class Streaming:
    """`unleash-connected` with everything when a stream begins, `unleash-updated` for a change."""

    stream = "/api/client/streaming"
    changed = "unleash-updated"

    def document(self, path: str, state: State) -> object:
        """Nothing: what else it sends are registration and metrics."""

    def opening(self, state: State) -> bytes:
        everything = {"type": "hydration", "eventId": state.version, "features": [feature(state)], "segments": []}
        return event("unleash-connected", {"events": [everything]})

    def change(self, state: State) -> object:
        changed = {"type": "feature-updated", "eventId": state.version, "feature": feature(state)}
        return {"events": [changed]}


def feature(state: State) -> dict[str, object]:
    """A flag whose one variant carries the value: as text, which is all that a variant can carry."""
    payload = {"type": "number", "value": str(state.value)}
    variant = {"name": "value", "weight": 1000, "weightType": "variable", "stickiness": "default", "payload": payload}
    strategy = {"name": "default", "parameters": {}, "constraints": [], "variants": []}
    return {
        "name": FLAG,
        "type": "release",
        "project": "default",
        "enabled": True,
        "stale": False,
        "impressionData": False,
        "strategies": [strategy],
        "variants": [variant],
    }


PRODUCT = Product(
    "Unleash",
    "UnleashClient",
    "UnleashClient, experimental_mode streaming",
    Client,
    lambda: Stub(Streaming()),
)
