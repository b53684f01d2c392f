"""Everything that hotconfig raises.

One base, few classes; each message says what happened and what to do next.

    HotConfigError
    ├── Unavailable            the server cannot be reached, or refuses us
    ├── NotMigrated            the server has no hotconfig tables
    ├── NoSuchDocument         nothing is published under this name
    │   └── NoSuchProfile
    │       └── NoDefaultProfile
    ├── InvalidConfig          the document does not fit the model
    ├── VersionConflict        somebody else was faster
    ├── Timeout                what was waited for did not come (also a TimeoutError)
    ├── Closed                 the client was closed
    └── MissingExtra           an optional dependency is absent (also an ImportError)

Bad arguments are `ValueError` or `TypeError`, raised where they are given. Each of these is a name of `hotconfig` too.
"""

from __future__ import annotations

__all__ = [
    "Closed",
    "HotConfigError",
    "InvalidConfig",
    "MissingExtra",
    "NoDefaultProfile",
    "NoSuchDocument",
    "NoSuchProfile",
    "NotMigrated",
    "Timeout",
    "Unavailable",
    "VersionConflict",
]


class HotConfigError(Exception):
    """The base of every error that hotconfig raises; itself for what has no class of its own."""


class Unavailable(HotConfigError):
    """The server cannot be reached, or does not let us in: address, password or privilege."""


class NotMigrated(HotConfigError):
    """The database answers but has no hotconfig tables: run `hotconfig migrate`."""


class NoSuchDocument(HotConfigError):
    """Nothing is published under this name, or no longer."""


class NoSuchProfile(NoSuchDocument):
    """There is no profile of this name, or no longer."""


class NoDefaultProfile(NoSuchProfile):
    """No profile is the default one: run `hotconfig init`, or name a profile."""


class InvalidConfig(HotConfigError):
    """The document does not fit the model; the message names each field and its rule."""


class VersionConflict(HotConfigError):
    """The document changed since the version that the edit was based on; the message says how, where it can."""


class Timeout(HotConfigError, TimeoutError):
    """What was waited for did not come in time."""


class Closed(HotConfigError):
    """The client was closed: call `start()` to use it again."""


class MissingExtra(HotConfigError, ImportError):
    """An optional dependency is not installed; the message says how to install it."""
