"""Change a running program's configuration with SQL.

    import hotconfig

    hotconfig.current().ai_infra.llm_temperature     # a memory read, always the committed truth

    def rebuild(change: hotconfig.Change) -> None:
        print(change.paths, change.old.version, "->", change.new.version)

    hotconfig.subscribe(rebuild, on=lambda c: c.ai_infra)

    with hotconfig.pinned() as cfg:                  # one agent turn, one version
        answer(cfg.prompts.system_prompt)

The database is HOTCONFIG_DATABASE_URL, or what `start()` is given. For tables of your own see `Client`.
"""

from hotconfig._api import changes, close, current, pinned, start, status, subscribe, wait_for
from hotconfig._changes import Changes
from hotconfig._client import Client
from hotconfig._content import Status
from hotconfig._dispatch import Subscription
from hotconfig.errors import (
    Closed,
    HotConfigError,
    InvalidConfig,
    MissingExtra,
    NoDefaultProfile,
    NoSuchDocument,
    NoSuchProfile,
    NotMigrated,
    Timeout,
    Unavailable,
    VersionConflict,
)
from hotconfig.profile import AIInfra, GenieSpace, MLflow, ProfileConfig, ProfileInfo, Prompts
from hotconfig.snapshot import Change, Section, Snapshot

__all__ = [
    "AIInfra",
    "Change",
    "Changes",
    "Client",
    "Closed",
    "GenieSpace",
    "HotConfigError",
    "InvalidConfig",
    "MLflow",
    "MissingExtra",
    "NoDefaultProfile",
    "NoSuchDocument",
    "NoSuchProfile",
    "NotMigrated",
    "ProfileConfig",
    "ProfileInfo",
    "Prompts",
    "Section",
    "Snapshot",
    "Status",
    "Subscription",
    "Timeout",
    "Unavailable",
    "VersionConflict",
    "changes",
    "close",
    "current",
    "pinned",
    "start",
    "status",
    "subscribe",
    "wait_for",
]
