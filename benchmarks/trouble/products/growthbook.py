"""GrowthBook's client for servers, which belongs to an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.trouble.stub import State, Stub
from benchmarks.trouble.subject import DEFAULT, DoesNotApply, Product

FEATURE = "limit"
KEY = "sdk-key"


class Client:
    """GrowthBookClient with server-sent events, on the loop of an asynchronous application."""

    def start(self, url: str) -> None:
        from growthbook import FeatureRefreshStrategy, GrowthBookClient, Options, UserContext

        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        # The application's own threads, which are not counted as the client's.
        self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="application"))
        threading.Thread(target=self._loop.run_forever, name="application", daemon=True).start()
        self._user = UserContext(attributes={"id": "application"})
        options = Options(api_host=url, client_key=KEY, refresh_strategy=FeatureRefreshStrategy.SERVER_SENT_EVENTS)

        async def make() -> Any:
            client = GrowthBookClient(options)
            if not await client.initialize():
                raise RuntimeError("GrowthBookClient has not started")
            return client

        self._client = self._do(make())

    def read(self) -> object:
        return self._do(self._client.get_feature_value(FEATURE, DEFAULT, self._user))

    def subscribe(self, _: Callable[[object], object]) -> None:
        raise DoesNotApply("has no listeners for changed values")

    def after_fork(self) -> None:
        raise DoesNotApply("says nothing of forks")

    def close(self) -> None:
        self._do(self._client.close())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        if os.getpid() != self._pid:  # the loop's thread is the parent's
            return asyncio.run(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Streaming:
    """As GrowthBook Proxy: the features by GET, and a stream that begins empty; `features` for a change."""

    stream = f"/sub/{KEY}"
    changed = "features"

    def document(self, path: str, state: State) -> object:
        return features(state) if path == f"/api/features/{KEY}" else None

    def opening(self, _: State) -> bytes:
        return b"retry: 10000\n\n"

    def change(self, state: State) -> object:
        return features(state)


def features(state: State) -> dict[str, object]:
    return {"status": 200, "features": {FEATURE: {"defaultValue": state.value}}}


PRODUCT = Product(
    "GrowthBook",
    "growthbook",
    "GrowthBookClient, FeatureRefreshStrategy.SERVER_SENT_EVENTS",
    Client,
    lambda: Stub(Streaming()),
)
