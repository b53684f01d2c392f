"""For tests of applications: a configuration without a database.

    import hotconfig
    from hotconfig.testing import override

    with override({"ai_infra.llm_temperature": 0.1}) as cfg:
        assert hotconfig.current() is cfg

Installing hotconfig also installs a pytest plugin with the fixture `hotconfig_override`, which is this function with
the leaving done for you at the end of the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, overload

from hotconfig._api import default
from hotconfig._client import Client
from hotconfig.profile import ProfileConfig, default_profile
from hotconfig.snapshot import S, Snapshot, split_path

__all__ = ["override"]


@overload
def override(value: ProfileConfig | Mapping[str, object], /) -> AbstractContextManager[ProfileConfig]: ...
@overload
def override(value: S | Mapping[str, object], /, *, client: Client[S]) -> AbstractContextManager[S]: ...
def override(value: Any, /, *, client: Any = None) -> Any:
    """Within, `current()` is this configuration, in every thread; nothing connects.

    Subscribers have been told when it is entered, and again when it is left. Overrides nest.

    Args:
        value: a whole snapshot; or paths and their values, `{"ai_infra.llm_temperature": 0.1}`, on top of the outer
            override, else the running client's snapshot, else the defaults of `hotconfig init`.
        client: whose. Default: the default client.

    Raises:
        KeyError: a path that names no field.
        pydantic.ValidationError: a value that breaks a rule.
        TypeError: paths, but the client has a model of its own and no snapshot yet: give a whole one.
    """
    followed: Client[Any] = default if client is None else client
    if isinstance(value, Mapping):
        value = _changed(_base(followed), value)
    return followed._overriding(value)  # the other half of it


def _base(client: Client[Any]) -> Snapshot:
    # Not what a closed client was left with: a test would depend on those that ran before it.
    base: Snapshot | None = client._served() if client._overrides or client._started() else None
    if base is not None:
        return base
    if client._settings.model is not ProfileConfig:
        raise TypeError("paths need something to change: start the client, or override with a whole snapshot first")
    return default_profile()


def _changed(base: Snapshot, values: Mapping[str, object]) -> Snapshot:
    data = base.model_dump()
    for path, value in values.items():
        *steps, last = split_path(path)
        within: Any = data
        held: object = base
        try:
            for step in steps:
                within = within[step]
                held = held[step] if isinstance(held, Mapping) else getattr(held, step)
            if not isinstance(held, Mapping) and last not in within:  # a mapping may get a new key
                raise KeyError(last)
            within[last] = value
        except (KeyError, TypeError):
            raise KeyError(f"{path!r} is no field of {type(base).__name__}") from None
    return type(base).model_validate(data)
