"""A client's arguments, checked without I/O and without a look at the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE
from hotconfig.conninfo import Conninfo
from hotconfig.snapshot import S, Snapshot

LONGEST_HEARTBEAT = 86_400  # seconds; poll() takes no more than 24 days


@dataclass(frozen=True, slots=True)
class Settings(Generic[S]):
    """As they were given: what the environment adds is read at the start."""

    conninfo: Conninfo | None = field(repr=False)  # it may hold a password
    model: type[S]
    document: str | None
    profile: str | None
    schema: str | None
    heartbeat: float
    cache: str | Path | None

    def __post_init__(self) -> None:
        _conninfo.check(self.conninfo)
        model: object = self.model
        if not (isinstance(model, type) and issubclass(model, Snapshot)):
            raise TypeError(f"model must be a subclass of hotconfig.Snapshot, not {model!r}")
        texts: tuple[tuple[str, object], ...] = (("document", self.document), ("profile", self.profile))
        for name, value in texts:
            if not isinstance(value, str | None):
                raise TypeError(f"{name} is a string, not {type(value).__name__}")
            if value is not None and (not value.strip() or "\0" in value):
                raise ValueError(f"{name} is {value!r}: name one, or leave it out")
        if self.schema is not None:
            _conninfo.schema_name(self.schema)
        heartbeat: object = self.heartbeat
        if not isinstance(heartbeat, int | float):
            raise TypeError(f"heartbeat is a number of seconds, not {type(heartbeat).__name__}")
        if not 0 < heartbeat <= LONGEST_HEARTBEAT:
            raise ValueError(f"heartbeat is {heartbeat!r}: it must be seconds above 0, such as 10, and at most a day")
        cache: object = self.cache
        if not isinstance(cache, str | Path | None):
            raise TypeError(f"cache is a path, not {type(cache).__name__}")

    def document_name(self) -> str:
        """The document to follow. Reads the environment."""
        if self.document is not None:
            return self.document
        profile = _conninfo.profile_name(self.profile)
        return ACTIVE if profile is None else PROFILE + profile
