"""What Admin reads: profiles, documents, their history. Needs the role hotconfig_reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from hotconfig import _exchange, _fleet, _past
from hotconfig._content import ACTIVE, PROFILE, missing, parse
from hotconfig._edits import Edit, edit_of
from hotconfig._engine import engine, translated
from hotconfig._fleet import Member
from hotconfig.conninfo import Target
from hotconfig.errors import NoSuchDocument, NoSuchProfile
from hotconfig.models import ConfigHistory, config_documents
from hotconfig.profile import ProfileConfig, ProfileInfo
from hotconfig.snapshot import Change, changed_paths

PROFILES = TypeAdapter(list[ProfileInfo])


class Reading:
    """The half of Admin that changes nothing."""

    def __init__(self, target: Target, schema: str) -> None:
        self._target = target
        self._schema = schema
        self._engine = engine(target, schema)

    def close(self) -> None:
        """Close the connections. Idempotent; a later call opens them again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def profiles(self) -> list[ProfileInfo]:
        """All profiles, by name."""
        # As one JSON text, which Pydantic reads faster than 10,000 rows.
        documents = sa.select(sa.cast(sa.func.json_agg(config_documents.c.profile), sa.Text))
        with self._reading() as session:
            found = session.scalar(documents.where(config_documents.c.profile.is_not(None)))
        return sorted(PROFILES.validate_json(found or "[]"), key=lambda profile: profile.name)

    def documents(self) -> list[str]:
        """The names of all documents that are there, sorted: `profile/<name>` of each profile, and your own."""
        names = sa.select(config_documents.c.name).where(
            config_documents.c.document.is_not(None), config_documents.c.name != ACTIVE
        )
        with self._reading() as session:
            return sorted(session.scalars(names))

    def snapshot(
        self, profile: str | None = None, *, version: int | None = None, at: datetime | None = None
    ) -> ProfileConfig:
        """A profile as it is, as it was at a version, or at a time (aware).

        Raises:
            NoSuchProfile: it was not there then.
            InvalidConfig: it does not fit `ProfileConfig`.
            HotConfigError: there is no such version yet, or it was pruned from the history.
            TypeError: both a version and a time.
            ValueError: a naive time.
        """
        name = ACTIVE if profile is None else PROFILE + profile
        document = self.document(name, version=version, at=at)
        return parse(ProfileConfig, json.dumps(document).encode(), name)

    def document(self, name: str, *, version: int | None = None, at: datetime | None = None) -> dict[str, Any]:
        """Any document as it is, as it was at a version, or at a time (aware): its JSON, its version included.

        `name` is `active` (now the default profile's), `profile/<name>`, or that of a document of your own.

        Raises:
            NoSuchDocument: it was not there then.
            HotConfigError: there is no such version yet, or it was pruned from the history.
            TypeError: both a version and a time.
            ValueError: a naive time.
        """
        if version is not None and at is not None:
            raise TypeError("give version or at, not both")
        _past.check_aware(at)
        with self._reading() as session:
            if version is None and at is None:
                found = _past.published(session, name)
            else:
                if version is not None:
                    _past.check_version(session, version)
                if name == ACTIVE:
                    name = PROFILE + _past.default_name(session)
                if name.startswith(PROFILE):
                    found = _past.profile_as_of(session, name.removeprefix(PROFILE), version=version, at=at)
                else:
                    found = _past.as_of(session, ConfigHistory.document == name, version=version, at=at)
        if found is None and (version is not None or at is not None):
            kind = NoSuchProfile if name.startswith(PROFILE) else NoSuchDocument
            when = f"at version {version}" if at is None else f"at {at.isoformat()}"
            raise kind(f"{name} was not there {when}: `hotconfig history` shows its versions")
        if found is None:
            raise missing(name)
        return found

    def diff(self, profile: str | None, a: int, b: int | None = None) -> Change[ProfileConfig]:
        """What differs between a profile at version `a` and at version `b`, by default now. Raises as `snapshot`."""
        old, new = self.snapshot(profile, version=a), self.snapshot(profile, version=b)
        return Change(old, new, changed_paths(old, new))

    def history(
        self,
        *,
        document: str | None = None,
        domain: str | None = None,
        actor: str | None = None,
        path: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Edit]:
        """The edits that fit all that is given, the newest first.

        Args:
            document: `profile/<name>`, or one of your own.
            domain: such as `ai_infra`.
            actor: who.
            path: a domain, a field of it, or what is below that: edits that changed it.
            since: an aware time, inclusive.
            until: likewise.
            before: the `Edit.id` of the last one of a page, for the next page.
            limit: at most so many.

        Raises:
            ValueError: a naive time, or a path that is none.
        """
        rows = _past.filtered(
            sa.select(ConfigHistory),
            document=document,
            domain=domain,
            actor=actor,
            path=path,
            since=since,
            until=until,
        )
        if before is not None:
            rows = rows.where(ConfigHistory.id < before)
        with self._reading() as session:
            return [edit_of(row) for row in session.scalars(rows.order_by(ConfigHistory.id.desc()).limit(limit))]

    def newest_version(self) -> int:
        """The newest version of any document."""
        with self._reading() as session:
            return _fleet.newest_version(session)

    def fleet(self) -> list[Member]:
        """The running clients of this installation, by host, process and document.

        Whoever has no connection to this server at the moment, or reads a standby, is not among them. Of schemas whose
        names begin with the same 20 characters each has the clients of both.
        """
        with self._reading() as session:
            return _fleet.fleet(session, self._schema)

    def wait_applied(self, version: int, *, timeout: float = 10.0) -> list[Member]:
        """Wait until every running client has applied a version; those that have not in time: none means that all have.

        It asks again and again, and needs no notifications. A client that starts meanwhile is waited for, one that ends
        is not. One that has seen the version but rejected what it published, or something newer, has not applied it.

        Args:
            version: that of `Written`, or of `newest_version()`.
            timeout: seconds; 0 asks once.

        Raises:
            HotConfigError: there is no such version yet.
        """
        return _fleet.wait_applied(self._reading, self._schema, version, timeout)

    def export(self, profiles: Sequence[str] | None = None) -> dict[str, object]:
        """Profiles as plain data, for JSON or YAML: what `import_` takes. The same profiles always give the same data.

        `{"hotconfig": 1, "default": name, "profiles": {name: {"description": ..., "ai_infra": {...}, ...}}}`, the
        profiles by name. Settings that a profile lacks are left out; `import_` wants them.

        Args:
            profiles: their names. Default: all, and which of them is the default one.

        Raises:
            NoSuchProfile: one of them is not there.
        """
        if isinstance(profiles, str):
            raise TypeError("profiles are names in a list")
        with self._reading() as session:
            return _exchange.export(session, profiles)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with translated(self._target, self._schema, "hotconfig_reader"), Session(self._engine) as session:
            yield session
