"""Flagsmith's server-side SDK: local evaluation, real-time updates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.trouble.stub import State, Stub, event
from benchmarks.trouble.subject import DoesNotApply, Product

FEATURE = "limit"
ENVIRONMENT = "environment"


class Client:
    def start(self, url: str) -> None:
        from flagsmith import Flagsmith

        self._client = Flagsmith(
            environment_key="ser.key",
            api_url=f"{url}/api/v1/",
            realtime_api_url=url,
            enable_local_evaluation=True,
            enable_realtime_updates=True,
        )

    def read(self) -> object:
        value: object = self._client.get_environment_flags().get_feature_value(FEATURE)
        return value

    def subscribe(self, _: Callable[[object], object]) -> None:
        raise DoesNotApply("has no listeners")

    def after_fork(self) -> None:
        raise DoesNotApply("says nothing of forks")

    def close(self) -> None:
        raise DoesNotApply("has no close()")


class Streaming:
    """The environment by GET; on the stream only when it was last changed, at once and after each change."""

    stream = f"/sse/environments/{ENVIRONMENT}/stream"
    changed = "environment_updated"

    def document(self, path: str, state: State) -> object:
        return environment(state) if path == "/api/v1/environment-document/" else None

    def opening(self, state: State) -> bytes:
        return event(self.changed, self.change(state))

    def change(self, state: State) -> object:
        return {"updated_at": state.changed}


def environment(state: State) -> dict[str, object]:
    feature_state = {
        "enabled": True,
        "feature": {"id": 1, "name": FEATURE, "type": "STANDARD"},
        "feature_state_value": state.value,
        "featurestate_uuid": "40eb539d-3713-4720-bbd4-829dbef10d51",
        "multivariate_feature_state_values": [],
    }
    return {
        "api_key": ENVIRONMENT,
        "name": "production",
        "feature_states": [feature_state],
        "identity_overrides": [],
        "project": {"id": 1, "name": "project", "segments": []},
        "updated_at": datetime.fromtimestamp(state.changed, UTC).isoformat(),
    }


PRODUCT = Product(
    "Flagsmith",
    "flagsmith",
    "Flagsmith, enable_local_evaluation, enable_realtime_updates",
    Client,
    lambda: Stub(Streaming()),
)
