"""The default client, and the module's functions: they are its methods, and `current()` does what its method does."""

from __future__ import annotations

from pathlib import Path

from hotconfig._client import Client
from hotconfig._settings import Settings
from hotconfig.conninfo import Conninfo
from hotconfig.profile import ProfileConfig

default: Client[ProfileConfig] = Client()

pinned = default.pinned
subscribe = default.subscribe
changes = default.changes
wait_for = default.wait_for
status = default.status
close = default.close


def current() -> ProfileConfig:
    """The newest snapshot. After the start it never touches the network, never blocks, never raises.

    Before it, it starts the default client, and raises what `start()` raises.
    """
    # Not the bound method, to call which takes a tenth longer.
    snapshot = default._fast
    if snapshot is not None:
        return snapshot
    return default._look_closer()


def start(
    conninfo: Conninfo | None = None,
    *,
    profile: str | None = None,
    schema: str | None = None,
    heartbeat: float = 10.0,
    cache: str | Path | None = None,
    timeout: float = 10.0,
) -> Client[ProfileConfig]:
    """Start the default client early, in this thread, with its errors: `with hotconfig.start(): ...`.

    Arguments and errors are those of `Client` and `Client.start`. Started already with equal arguments, it is left as
    it is.

    Raises:
        HotConfigError: it was started with other arguments; call `close()` first.
    """
    wanted = Settings(conninfo, ProfileConfig, None, profile, schema, heartbeat, cache)
    default._ensure_started(timeout, reopen=True, wanted=wanted)
    return default
