"""Change a running program's configuration with SQL.

    import hotconfig

    hotconfig.current().ai_infra.llm_temperature  # a memory read, fresh from the last commit

    def rebuild(change: hotconfig.Change) -> None:
        print(change.paths, change.old.version, "->", change.new.version)

    hotconfig.subscribe(rebuild, on=lambda c: c.ai_infra)

    with hotconfig.pinned() as cfg:  # one agent turn, one version
        print(cfg.prompts.system_prompt, cfg.ai_infra.llm_temperature)

The functions are those of one default client, which follows a profile of the database that HOTCONFIG_DATABASE_URL
names, or `start()`. For tables of your own see `Snapshot` and `Client`; everything that is raised is in
`hotconfig.errors`, and a name of this module too.
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
