"""A client's arguments, checked without I/O and without a look at the environment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE
from hotconfig.conninfo import Conninfo
from hotconfig.snapshot import S, Snapshot


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
        for name, value in (("document", self.document), ("profile", self.profile)):
            if value is not None and (not value.strip() or "\0" in value):
                raise ValueError(f"{name} is {value!r}: name one, or leave it out")
        if self.schema is not None:
            _conninfo.schema_name(self.schema)
        if not (self.heartbeat > 0 and math.isfinite(self.heartbeat)):
            raise ValueError(f"heartbeat is {self.heartbeat!r}: it must be seconds above 0, such as 10")

    def document_name(self) -> str:
        """The document to follow. Reads the environment."""
        if self.document is not None:
            return self.document
        profile = _conninfo.profile_name(self.profile)
        return ACTIVE if profile is None else PROFILE + profile
