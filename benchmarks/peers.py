"""How others read one setting in steady state: offline, and as their documentation has it.

Where it knows several ways, the fastest; without events, metrics and spans, which would cost a read more. Each
setting has a default of 0.0 wherever one can be given, so that 0.7 is what the library has read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel

TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a float."""

    name: str
    """Of the library, with the version that is installed."""
    statement: str
    """What is timed."""
    names: dict[str, object]
    """The statement's globals."""
    pushed: bool
    """Whether a server can push changes to this client, as opposed to a file, a poll or a time to live."""


def read(name: str, statement: str, names: Mapping[str, object], *, pushed: bool) -> Read:
    """A read that has worked once, so that nobody is timed while failing."""
    found = eval(statement, dict(names))
    assert found == TEMPERATURE, f"{name}: {statement} gave {found!r}"
    return Read(name, statement, dict(names), pushed)


def settings_file(directory: str) -> Path:
    path = Path(directory, "settings.toml")
    path.write_text(f"[ai_infra]\nllm_temperature = {TEMPERATURE}\n", "utf-8")
    return path


class AIInfra(BaseModel):
    """A section, for the peers that validate."""

    llm_temperature: float = 0.0


class Settings(BaseModel):
    """The whole file."""

    ai_infra: AIInfra = AIInfra()


@contextmanager
def dynamic_config() -> Iterator[Read]:
    """A watched file, read into Pydantic models of the shape that hotconfig has: what differs is the library."""
    from dynamic_config import DynamicConfig

    with TemporaryDirectory() as directory:
        config = DynamicConfig(Settings, key="settings").whole_document().file(str(settings_file(directory)))
        name = f"dynamic-config-py {version('dynamic-config-py')}, Pydantic models"
        with config.running():
            yield read(name, "config.current().ai_infra.llm_temperature", {"config": config}, pushed=False)


@contextmanager
def dynamic_config_section() -> Iterator[Read]:
    """One section of that file, read into a dataclass: the least that it costs, an attribute of no Pydantic model."""
    from dynamic_config import DynamicConfig

    @dataclass
    class Section:
        llm_temperature: float = 0.0

    with TemporaryDirectory() as directory:
        config = DynamicConfig(Section, key="ai_infra").file(str(settings_file(directory)))
        name = f"dynamic-config-py {version('dynamic-config-py')}, one dataclass"
        with config.running():
            yield read(name, "config.current().llm_temperature", {"config": config}, pushed=False)


@contextmanager
def dynaconf() -> Iterator[Read]:
    """A file, read once; an attribute takes three times as long as an item."""
    from dynaconf import Dynaconf

    with TemporaryDirectory() as directory:
        path = Path(directory, "settings.toml")
        path.write_text(f"llm_temperature = {TEMPERATURE}\n", "utf-8")
        settings = Dynaconf(settings_files=[str(path)])
        name = f"dynaconf {version('dynaconf')}"
        yield read(name, "settings['llm_temperature']", {"settings": settings}, pushed=False)


@contextmanager
def growthbook() -> Iterator[Read]:
    """Features that the program has fetched itself; its own fetching adds a check of their age."""
    from growthbook import GrowthBook

    client = GrowthBook(features={"llm_temperature": {"defaultValue": TEMPERATURE}})
    name, statement = f"GrowthBook {version('growthbook')}", "client.get_feature_value('llm_temperature', 0.0)"
    try:
        yield read(name, statement, {"client": client}, pushed=True)
    finally:
        client.destroy()


@contextmanager
def constance() -> Iterator[Read]:
    """The memory backend, the least that it costs: the others ask Redis or the database, or a cache before it."""
    from django.conf import settings

    # Django's settings are the process's, and stay: there is no way back.
    if not settings.configured:
        settings.configure(
            CONSTANCE_BACKEND="constance.backends.memory.MemoryBackend",
            CONSTANCE_CONFIG={"LLM_TEMPERATURE": (0.0, "of the model")},
        )
    from constance import config

    config.LLM_TEMPERATURE = TEMPERATURE
    name = f"django-constance {version('django-constance')}, in memory"
    yield read(name, "config.LLM_TEMPERATURE", {"config": config}, pushed=False)


@contextmanager
def launchdarkly() -> Iterator[Read]:
    """Its own test data instead of the stream; the store and the evaluation are those of production."""
    from ldclient import Context, LDClient
    from ldclient.config import Config
    from ldclient.integrations.test_data import TestData

    data = TestData.data_source()
    data.update(data.flag("llm_temperature").variations(TEMPERATURE).variation_for_all(0))
    config = Config("offline", update_processor_class=data, send_events=False, diagnostic_opt_out=True)
    name = f"LaunchDarkly {version('launchdarkly-server-sdk')}"
    with closing(LDClient(config)) as client:
        names = {"client": client, "context": Context.create("application")}
        yield read(name, "client.variation('llm_temperature', context, 0.0)", names, pushed=True)


@contextmanager
def openfeature() -> Iterator[Read]:
    """Its in-memory provider, the least that any vendor's costs behind this API."""
    from openfeature import api
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    flag = InMemoryFlag("warm", {"warm": TEMPERATURE})
    api.set_provider_and_wait(InMemoryProvider({"llm_temperature": flag}))
    name = f"OpenFeature {version('openfeature-sdk')}, in memory"
    names = {"client": api.get_client()}
    try:
        yield read(name, "client.get_float_value('llm_temperature', 0.0)", names, pushed=False)
    finally:
        api.shutdown()


@contextmanager
def unleash() -> Iterator[Read]:
    """A variant of a bootstrapped flag. Its payloads are text, those of type number too."""
    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache
    from UnleashClient.utils import InstanceAllowType

    payload = {"type": "number", "value": str(TEMPERATURE)}
    flag = {
        "name": "llm_temperature",
        "enabled": True,
        "strategies": [{"name": "default"}],
        "variants": [{"name": "warm", "weight": 1000, "payload": payload}],
    }
    with TemporaryDirectory() as directory:
        cache = FileCache("benchmark", directory=directory)
        cache.bootstrap_from_dict({"version": 2, "features": [flag]})
        client = UnleashClient(
            "http://127.0.0.1:9/api",
            "benchmark",
            cache=cache,
            disable_metrics=True,
            disable_registration=True,
            multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW,
        )
        client.initialize_client(fetch_toggles=False)
        name = f"Unleash {version('UnleashClient')}"
        statement = "float(client.get_variant('llm_temperature')['payload']['value'])"
        try:
            yield read(name, statement, {"client": client}, pushed=True)
        finally:
            client.destroy()


@contextmanager
def logfire() -> Iterator[Read]:
    """A managed variable of the local provider, without the span that it makes of each read unless told not to."""
    import logfire
    from logfire.variables.config import LabeledValue, Rollout, VariableConfig, VariablesConfig

    temperature = VariableConfig(
        name="llm_temperature",
        labels={"production": LabeledValue(version=1, serialized_value=json.dumps(TEMPERATURE))},
        rollout=Rollout(labels={"production": 1.0}),
        overrides=[],
    )
    options = logfire.LocalVariablesOptions(
        config=VariablesConfig(variables={"llm_temperature": temperature}), instrument=False
    )
    instance = logfire.configure(local=True, send_to_logfire=False, console=False, metrics=False, variables=options)
    variable = instance.var("llm_temperature", type=float, default=0.0)
    name = f"Logfire {version('logfire')}, managed variables without spans"
    try:
        yield read(name, "variable.get().value", {"variable": variable}, pushed=True)
    finally:
        instance.shutdown()


@contextmanager
def flagsmith() -> Iterator[Read]:
    """The environment's document from a file instead of the server. Values are text, integers or booleans.

    Flags are those of the moment in which they were got, hence got for each read.
    """
    from flagsmith import Flagsmith
    from flagsmith.offline_handlers import LocalFileHandler

    state = {
        "feature": {"id": 1, "name": "llm_temperature"},
        "enabled": True,
        "feature_state_value": str(TEMPERATURE),
        "featurestate_uuid": "40eb539d-3713-4720-bbd4-829dbef10d51",
        "multivariate_feature_state_values": [],
    }
    document = {
        "api_key": "offline",
        "name": "benchmark",
        "project": {"segments": []},
        "feature_states": [state],
        "identity_overrides": [],
    }
    with TemporaryDirectory() as directory:
        path = Path(directory, "environment.json")
        path.write_text(json.dumps(document), "utf-8")
        client = Flagsmith(offline_mode=True, offline_handler=LocalFileHandler(str(path)))
        statement = "float(client.get_environment_flags().get_feature_value('llm_temperature'))"
        yield read(f"Flagsmith {version('flagsmith')}", statement, {"client": client}, pushed=True)


@contextmanager
def replane() -> Iterator[Read]:
    """The client itself, not connected: its defaults are kept and read as what the stream brings."""
    from replane import Replane

    client: Replane[dict[str, float]] = Replane(
        "http://127.0.0.1:9", "offline", defaults={"llm_temperature": TEMPERATURE}
    )
    with closing(client):
        name = f"Replane {version('replane')}"
        yield read(name, "client.configs.get('llm_temperature', 0.0)", {"client": client}, pushed=True)


PEERS: tuple[tuple[str, Callable[[], AbstractContextManager[Read]]], ...] = (
    ("dynamic-config-py", dynamic_config),
    ("dynamic-config-py, dataclass", dynamic_config_section),
    ("dynaconf", dynaconf),
    ("GrowthBook", growthbook),
    ("django-constance", constance),
    ("LaunchDarkly", launchdarkly),
    ("OpenFeature", openfeature),
    ("Unleash", unleash),
    ("Logfire", logfire),
    ("Flagsmith", flagsmith),
    ("Replane", replane),
)
"""Each by name; a function raises ImportError if its package is not installed, and leaves nothing running."""
