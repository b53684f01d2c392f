"""Admin: the only code of hotconfig that writes configuration. Plain SQL may do the same.

    from hotconfig.admin import Admin

    with Admin(actor="alice", note="calmer answers") as admin:
        admin.update(None, {"ai_infra.llm_temperature": 0.2})

Reading needs the role hotconfig_reader, writing hotconfig_editor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hotconfig import _past, _rows
from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE, missing, parse
from hotconfig._edits import Edit, Written, edit_of, lines
from hotconfig._engine import engine, translated
from hotconfig._write import Writing, writing
from hotconfig.conninfo import Conninfo
from hotconfig.errors import HotConfigError, InvalidConfig, NoSuchDocument, NoSuchProfile, VersionConflict
from hotconfig.models import ConfigHistory, ConfigProfile, config_documents
from hotconfig.profile import ProfileConfig, ProfileInfo, default_profile
from hotconfig.snapshot import Change, changed_paths

__all__ = ["Admin", "Edit", "Written"]


class Admin:
    """Reads and writes profiles. Each writing method is one transaction, hence one version.

    A profile is given by name; None is the default one. What does not fit `ProfileConfig` or a constraint of the
    database is refused before the commit, and nothing is saved. The constructor does no I/O. Several threads may share
    an Admin. As a context manager it is closed at the end.

    Args:
        conninfo: as for `Client`.
        actor: who; written into the history. Default: the database user.
        note: why; likewise. Default: none.
        schema: as for `Client`.
        dry_run: do everything but the commit; nobody is told.

    Raises:
        ValueError: a malformed URL or name of a schema.

    Every method raises:
        Unavailable, NotMigrated: the database cannot be used.
        NoSuchProfile, NoDefaultProfile: there is no such profile.

    Every writing method raises besides:
        InvalidConfig: a rule would be broken; the message names it.
        VersionConflict: `expect_version` was given and somebody changed the document since; the message shows what.
        HotConfigError: the transaction met another one and was undone; try again.
    """

    def __init__(
        self,
        conninfo: Conninfo | None = None,
        *,
        actor: str | None = None,
        note: str | None = None,
        schema: str | None = None,
        dry_run: bool = False,
    ) -> None:
        self._target = _conninfo.resolve(conninfo)
        self._schema = _conninfo.schema_name(schema)
        self._engine = engine(self._target, self._schema)
        self._actor = actor
        self._note = note
        self._dry_run = dry_run

    def close(self) -> None:
        """Close the connections. Idempotent; a later call opens them again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- profiles

    def profiles(self) -> list[ProfileInfo]:
        """All profiles, by name."""
        documents = sa.select(config_documents.c.document["profile"]).where(
            config_documents.c.name.startswith(PROFILE), config_documents.c.document.is_not(None)
        )
        with self._reading() as session:
            found = [ProfileInfo.model_validate(profile) for profile in session.scalars(documents)]
        return sorted(found, key=lambda profile: profile.name)

    def init(self) -> Written:
        """See that there is a default profile: unless there is, make one named "default", with the defaults.

        A profile of that name keeps what it has. Safe to run from several processes at once.
        """
        with self._writing() as current:
            session = current.session
            key = f"hotconfig {self._schema}"
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
            if session.scalar(sa.select(ConfigProfile.id).where(ConfigProfile.is_default)) is None:
                default = default_profile()
                name, settings = default.profile.name, default.model_dump()
                row = session.scalar(sa.select(ConfigProfile).where(ConfigProfile.name == name))
                if row is None:
                    row = _rows.insert(session, name, "", settings)
                    row.created_by = "system"
                else:
                    kept = _rows.from_rows(row)
                    _rows.store(session, row, {domain: settings[domain] for domain in settings.keys() - kept.keys()})
                row.is_default = True
        return current.written

    def create_profile(self, name: str, *, copy_from: str | None = None, description: str = "") -> Written:
        """Create a profile with the settings of another one, or with the defaults of `init`. It is not the default one.

        Args:
            name: at most 100 characters, not blank, not taken.
            copy_from: the other one. Default: the defaults.
            description: what it is for.
        """
        _rows.check_name(name)
        with self._writing() as current:
            if copy_from is None:
                settings = default_profile().model_dump()
            else:
                settings = _rows.from_rows(self._row(current.session, copy_from))
            _rows.insert(current.session, name, "", {**settings, "profile": {"description": description}})
        return current.written

    def rename_profile(self, name: str, to: str) -> Written:
        """Give a profile another name. Clients that follow the old name keep their last snapshot, with an error."""
        _rows.check_name(to)
        with self._writing() as current:
            self._row(current.session, name).name = to
        return current.written

    def describe_profile(self, name: str, description: str) -> Written:
        """Say what a profile is for."""
        return self.update(name, {"profile.description": description})

    def delete_profile(self, name: str) -> Written:
        """Delete a profile with its settings; never the default one. Its history stays; `rollback` brings it back."""
        with self._writing() as current:
            current.session.delete(self._row(current.session, name))
        return current.written

    def activate(self, name: str) -> Written:
        """Make a profile the default one, which everybody follows who names none."""
        with self._writing() as current:
            # Two at the same time would otherwise make two defaults, and one of them be refused.
            everyone = sa.select(ConfigProfile.id).order_by(ConfigProfile.id).with_for_update(key_share=True)
            current.session.execute(everyone)
            wanted = ConfigProfile.id == self._row(current.session, name).id
            current.session.execute(
                sa.update(ConfigProfile).where(ConfigProfile.is_default != wanted).values(is_default=wanted)
            )
        return current.written

    # ---- settings

    def update(
        self, profile: str | None, values: Mapping[str, object], *, expect_version: int | None = None
    ) -> Written:
        """Set several paths at once: `{"ai_infra.llm_temperature": 0.2}`. Paths that are not named stay as they are.

        Args:
            profile: its name; None: the default one.
            values: to each path a value of its field's very type: `"5"` is no number.
            expect_version: the version of the profile's document that the values were made for. Default: any.
        """
        with self._writing(profile, expect_version) as current:
            row = self._row(current.session, profile)
            _rows.store(current.session, row, _rows.checked(_rows.from_rows(row), values))
        return current.written

    def rollback(self, profile: str | None, *, to: int | None = None, expect_version: int | None = None) -> Written:
        """Make a profile what it was at version `to`, by default before its newest change: a new version.

        Settings, description and name come back; which profile is the default one does not change. A deleted profile is
        created again, with a new id.

        Args:
            profile: its name; None: the default one.
            to: any transaction's version. Default: the one before its newest change.
            expect_version: as for `update`.

        Raises:
            HotConfigError: the profile was not there then, or there is no such version.
        """
        with self._writing(profile, expect_version) as current:
            session = current.session
            name = _past.default_name(session) if profile is None else profile
            if to is None:
                then = _past.profile_as_of(session, name, before=_past.newest_change(session, name))
            else:
                _past.check_version(session, to)
                then = _past.profile_as_of(session, name, version=to)
            if then is None:
                when = "before its newest change" if to is None else f"at version {to}"
                raise HotConfigError(f"profile {name!r} was not there {when}: `hotconfig history` shows its versions")
            row = session.get(ConfigProfile, _past.profile_ids(session, name)[0])
            if row is None:
                _rows.insert(session, then["profile"]["name"], "", then)
            else:
                row.name = then["profile"]["name"]
                _rows.store(session, row, then)
        return current.written

    # ---- reading

    def snapshot(
        self, profile: str | None = None, *, version: int | None = None, at: datetime | None = None
    ) -> ProfileConfig:
        """A profile as it is, as it was at a version, or at a time (aware).

        Raises:
            NoSuchProfile: it was not there then.
            InvalidConfig: it does not fit `ProfileConfig`.
            HotConfigError: there is no such version yet.
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
            HotConfigError: there is no such version yet.
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

    # ---- the session

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with translated(self._target, self._schema, "hotconfig_reader"), Session(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self, profile: str | None = None, expect_version: int | None = None) -> Iterator[Writing]:
        document = ACTIVE if profile is None else PROFILE + profile
        expected = {} if expect_version is None else {document: expect_version}
        try:
            with (
                translated(self._target, self._schema, "hotconfig_editor"),
                writing(
                    self._engine, actor=self._actor, note=self._note, expected=expected, dry_run=self._dry_run
                ) as current,
            ):
                yield current
        except VersionConflict as conflict:
            changes = self._changes(document, expect_version or 0)
            raise VersionConflict(" ".join([str(conflict), *changes])) from conflict
        except InvalidConfig as error:
            if "nothing was saved" in str(error):
                raise
            raise InvalidConfig(f"nothing was saved: {error}") from error

    def _changes(self, document: str, version: int) -> Iterator[str]:
        """Who changed what in a document after a version, for whoever was too late."""
        with self._reading() as session:
            if document == ACTIVE:
                document = PROFILE + _past.default_name(session)
            rows = _past.filtered(sa.select(ConfigHistory), document=document)
            for edit in _past.after(session, rows, version, versions=5):
                changed = (f"{path} {old or 'nothing'} -> {new or 'nothing'}" for path, old, new in lines(edit))
                yield f"Version {edit.version} by {edit.actor}: {', '.join(changed)}."

    def _row(self, session: Session, profile: str | None) -> ConfigProfile:
        wanted = ConfigProfile.is_default if profile is None else ConfigProfile.name == profile
        row = session.scalar(sa.select(ConfigProfile).where(wanted))
        if row is None:
            raise missing(ACTIVE if profile is None else PROFILE + profile)
        return row
