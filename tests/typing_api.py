"""The public API as a stranger would use it: read by mypy --strict and pyright, never run.

Each call that must be refused is marked for each of the checkers, and both of them are told to object to
a mark that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, assert_type

from pydantic import SecretStr

import hotconfig
from hotconfig import (
    AIInfra,
    Change,
    Changes,
    Client,
    Closed,
    GenieSpace,
    HotConfigError,
    InvalidConfig,
    MissingExtra,
    MLflow,
    NoDefaultProfile,
    NoSuchDocument,
    NoSuchProfile,
    NotMigrated,
    ProfileConfig,
    ProfileInfo,
    Prompts,
    Section,
    Snapshot,
    Status,
    Subscription,
    Timeout,
    Unavailable,
    VersionConflict,
)
from hotconfig.testing import override

# ---- models of one's own


class Voice(Section):
    name: str
    speed: float = 1.0


class TalkerConfig(Snapshot):
    voice: Voice
    greetings: tuple[str, ...] = ()
    limits: Mapping[str, int] = {}
    key: SecretStr = SecretStr("")


# ---- what a reader holds


def read(config: ProfileConfig) -> None:
    assert_type(config.version, int)
    assert_type(config.profile, ProfileInfo)
    assert_type(config.profile.id, int)
    assert_type(config.profile.name, str)
    assert_type(config.profile.description, str)
    assert_type(config.profile.is_default, bool)
    assert_type(config.ai_infra, AIInfra)
    assert_type(config.ai_infra.llm_endpoint, str)
    assert_type(config.ai_infra.llm_temperature, float)
    assert_type(config.ai_infra.llm_max_tokens, int)
    assert_type(config.genie, GenieSpace)
    assert_type(config.genie.space_id, str)
    assert_type(config.genie.space_name, str)
    assert_type(config.genie.description, str)
    assert_type(config.mlflow, MLflow)
    assert_type(config.mlflow.experiment_name, str)
    assert_type(config.prompts, Prompts)
    assert_type(config.prompts.system_prompt, str)
    assert_type(config.prompts.slide_editing_instructions, str)
    assert_type(config.prompts.user_prompt_template, str)
    assert_type(Prompts.fill(config.prompts.system_prompt, max_slides="10"), str)
    Prompts.fill("{n}", n=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ---- the default client


def plain(change: Change) -> None:
    assert_type(change, Change[ProfileConfig])
    assert_type(change.old, ProfileConfig)
    assert_type(change.new.ai_infra.llm_temperature, float)
    assert_type(change.paths, tuple[str, ...])


async def coroutine(change: Change[ProfileConfig]) -> None:
    assert_type(change.new, ProfileConfig)


def of_another_model(change: Change[TalkerConfig]) -> None: ...


def module_functions() -> None:
    assert_type(hotconfig.current(), ProfileConfig)
    assert_type(hotconfig.status(), Status)
    with hotconfig.pinned() as config:
        assert_type(config, ProfileConfig)
    assert_type(hotconfig.wait_for(42), ProfileConfig)
    assert_type(hotconfig.wait_for(version=42, timeout=5), ProfileConfig)
    assert_type(hotconfig.wait_for(until=lambda c: c.ai_infra.llm_max_tokens > 1, timeout=None), ProfileConfig)
    hotconfig.wait_for()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    hotconfig.wait_for(42, until=bool)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    assert_type(hotconfig.start(), Client[ProfileConfig])
    assert_type(
        hotconfig.start(
            "postgresql://localhost/x",
            profile="p",
            schema="s",
            heartbeat=1.0,
            cache=Path("last-good"),
            timeout=3.0,
        ),
        Client[ProfileConfig],
    )
    with hotconfig.start() as client:
        assert_type(client, Client[ProfileConfig])
    hotconfig.start(model=TalkerConfig)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hotconfig.close()
    hotconfig.close(timeout=1.0)


def subscriptions() -> None:
    subscription = hotconfig.subscribe(plain)
    assert_type(subscription, Subscription)
    subscription.cancel()
    with hotconfig.subscribe(plain, on=lambda c: c.prompts, since=hotconfig.current()) as entered:
        assert_type(entered, Subscription)
    hotconfig.subscribe(coroutine)
    hotconfig.subscribe(lambda change: change.new.ai_infra.llm_endpoint)
    hotconfig.subscribe(of_another_model)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    hotconfig.subscribe(plain, on=lambda c: c.voice)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType, reportUnknownMemberType]
    hotconfig.subscribe(plain, lambda c: c.prompts)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownLambdaType, reportUnknownMemberType]


async def iterating() -> None:
    async for change in hotconfig.changes():
        assert_type(change, Change[ProfileConfig])
    changes = hotconfig.changes(on=lambda c: c.prompts.system_prompt, since=hotconfig.current())
    assert_type(changes, Changes[ProfileConfig])
    async with changes as entered:
        assert_type(entered, Changes[ProfileConfig])
        assert_type(await anext(entered), Change[ProfileConfig])
    await changes.aclose()


@asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[None, None]:
    with hotconfig.start():
        yield


# ---- clients


def default_model() -> None:
    client = Client()
    assert_type(client, Client[ProfileConfig])
    assert_type(client.current().prompts, Prompts)
    assert_type(Client("embedded:"), Client[ProfileConfig])
    assert_type(Client(lambda: "postgresql://localhost/x"), Client[ProfileConfig])
    assert_type(
        Client(None, profile="p", schema="s", heartbeat=1.0, cache="last-good"),
        Client[ProfileConfig],
    )


def unparametrised(client: Client) -> None:
    assert_type(client.current(), ProfileConfig)


def model_of_ones_own() -> None:
    client = Client(model=TalkerConfig, document="talker")
    assert_type(client, Client[TalkerConfig])
    assert_type(Client(model=TalkerConfig), Client[TalkerConfig])
    assert_type(Client(model=TalkerConfig, profile="p"), Client[TalkerConfig])
    assert_type(
        Client("", model=TalkerConfig, document="d", schema="s", heartbeat=1.0, cache=Path()), Client[TalkerConfig]
    )
    assert_type(client.start(), Client[TalkerConfig])
    assert_type(client.start(timeout=1.0), Client[TalkerConfig])
    with client as entered:
        assert_type(entered, Client[TalkerConfig])
    current = client.current
    assert_type(current().voice.speed, float)
    assert_type(client.pinned(), AbstractContextManager[TalkerConfig])
    with client.pinned() as config:
        assert_type(config, TalkerConfig)
    client.subscribe(of_another_model, on=lambda c: c.voice, since=config)
    client.subscribe(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.subscribe(of_another_model, since=hotconfig.current())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.changes(), Changes[TalkerConfig])
    assert_type(client.wait_for(1), TalkerConfig)
    assert_type(client.wait_for(until=lambda c: c.voice.speed > 1), TalkerConfig)
    client.close(timeout=0.5)


def refused_clients() -> None:
    Client(document="talker")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Client(profile="p", document="d")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Client(model=TalkerConfig, profile="p", document="d")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Client(model=Voice)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    Client(None, "p")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Client(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def passed_around(get: Callable[[], TalkerConfig]) -> str:
    return get().voice.name


passed_around(Client(model=TalkerConfig, document="talker").current)
passed_around(hotconfig.current)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ---- status and errors


def status(status: Status) -> None:
    assert_type(status.state, Literal["new", "live", "polling", "stale", "closed"])
    assert_type(status.document, str)
    assert_type(status.version, int | None)
    assert_type(status.document_version, int | None)
    assert_type(status.rejected_version, int | None)
    assert_type(status.applied_at, datetime | None)
    assert_type(status.checked_at, datetime | None)
    assert_type(status.staleness, float | None)
    assert_type(status.error, HotConfigError | None)
    assert_type(status.reconnects, int)
    assert_type(status.rewinds, int)
    assert_type(status.healthy, bool)
    status.version = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def errors() -> None:
    documents: tuple[type[NoSuchDocument], ...] = (NoSuchDocument, NoSuchProfile, NoDefaultProfile)
    everything: tuple[type[HotConfigError], ...] = (
        Closed,
        InvalidConfig,
        NotMigrated,
        Unavailable,
        VersionConflict,
        *documents,
    )
    timeout: type[TimeoutError] = Timeout
    missing: type[ImportError] = MissingExtra
    try:
        hotconfig.current()
    except (*everything, timeout, missing) as error:
        raise SystemExit(str(error)) from error


# ---- tests of applications


def overriding(client: Client[TalkerConfig], talker: TalkerConfig) -> None:
    with override({"ai_infra.llm_temperature": 0.1}) as config:
        assert_type(config, ProfileConfig)
    with override(config) as config:
        assert_type(config, ProfileConfig)
    with override(talker, client=client) as own:
        assert_type(own, TalkerConfig)
    with override({"voice.speed": 2.0}, client=client) as own:
        assert_type(own, TalkerConfig)
    override(talker)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    override(config, client=client)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
