"""Admin: writes configuration, as plain SQL may do too.

    from hotconfig.admin import Admin

    with Admin(actor="alice", note="calmer answers") as admin:
        admin.update(None, {"ai_infra.llm_temperature": 0.2})

Reading needs the role hotconfig_reader, writing hotconfig_editor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hotconfig import _exchange, _past, _rows
from hotconfig import conninfo as _conninfo
from hotconfig._content import ACTIVE, PROFILE, missing
from hotconfig._edits import Edit, Written, told
from hotconfig._engine import translated
from hotconfig._fleet import Member
from hotconfig._reading import Reading
from hotconfig._write import Writing, writing
from hotconfig.conninfo import Conninfo
from hotconfig.errors import HotConfigError, InvalidConfig, VersionConflict
from hotconfig.models import ConfigHistory, ConfigProfile
from hotconfig.profile import default_profile

__all__ = ["Admin", "Edit", "Member", "Written"]


class Admin(Reading):
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
        super().__init__(_conninfo.resolve(conninfo), _conninfo.schema_name(schema))
        self._actor = actor
        self._note = note
        self._dry_run = dry_run

    # ---- profiles

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
                    row = _rows.insert(session, name, settings)
                    row.created_by = "system"
                else:
                    kept = _rows.from_rows(row)
                    _rows.store(session, row, {domain: settings[domain] for domain in settings.keys() - kept.keys()})
                row.is_default = True
        return current.written

    def create_profile(
        self, name: str, *, copy_from: str | None = None, description: str = "", expect_version: int | None = None
    ) -> Written:
        """Create a profile with the settings of another one, or with the defaults of `init`. It is not the default one.

        Args:
            name: at most 100 characters, not blank, not taken.
            copy_from: the other one. Default: the defaults.
            description: what it is for.
            expect_version: the version of the other one. Default: any.
        """
        _rows.check_name(name)
        if expect_version is not None and copy_from is None:
            raise ValueError("expect_version is of the profile that is copied: name it, or leave expect_version out")
        with self._writing(copy_from, expect_version) as current:
            if copy_from is None:
                settings = default_profile().model_dump()
            else:
                settings = _rows.from_rows(self._row(current.session, copy_from))
            _rows.insert(current.session, name, {**settings, "profile": {"description": description}})
        return current.written

    def rename_profile(self, name: str, to: str, *, expect_version: int | None = None) -> Written:
        """Give a profile another name. Clients that follow the old name keep their last snapshot, with an error."""
        _rows.check_name(to)
        with self._writing(name, expect_version) as current:
            self._row(current.session, name).name = to
        return current.written

    def describe_profile(self, name: str, description: str, *, expect_version: int | None = None) -> Written:
        """Say what a profile is for."""
        return self.update(name, {"profile.description": description}, expect_version=expect_version)

    def delete_profile(self, name: str, *, expect_version: int | None = None) -> Written:
        """Delete a profile with its settings; never the default one. Its history stays; `rollback` brings it back."""
        with self._writing(name, expect_version) as current:
            row = self._row(current.session, name)
            if row.is_default:
                raise InvalidConfig(
                    f"profile {name!r} is the default one and cannot be deleted. "
                    "Next: `hotconfig profile activate` another one first."
                )
            current.session.delete(row)
        return current.written

    def activate(self, name: str, *, expect_version: int | None = None) -> Written:
        """Make a profile the default one, which everybody follows who names none."""
        with self._writing(name, expect_version) as current:
            _rows.make_default(current.session, self._row(current.session, name).id)
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
            HotConfigError: the profile was not there then, there is no such version, it was pruned from the history, or
                the newest change is an activation, and `to` is not given.
        """
        with self._writing(profile, expect_version) as current:
            session = current.session
            name = _past.default_name(session) if profile is None else profile
            if to is None:
                then = _past.before_newest_change(session, name)
            else:
                _past.check_version(session, to)
                then = _past.profile_as_of(session, name, version=to)
            if then is None:
                when = "before its newest change" if to is None else f"at version {to}"
                raise HotConfigError(f"profile {name!r} was not there {when}: `hotconfig history` shows its versions")
            row = session.get(ConfigProfile, next(_past.profile_ids(session, name)))
            if row is None:
                _rows.insert(session, then["profile"]["name"], then)
            else:
                row.name = then["profile"]["name"]
                _rows.store(session, row, then)
                for domain in _rows.SETTINGS.keys() - then.keys():  # it lacked them
                    model = _rows.SETTINGS[domain]
                    session.execute(sa.delete(model).where(model.profile_id == row.id))
        return current.written

    def import_(self, data: Mapping[str, object], *, prune: bool = False, expect_version: int | None = None) -> Written:
        """Make profiles what an `export` says, all of them or none: those that are there, and new ones.

        The default profile becomes the one that `data` names, if they name one. A profile that is not in `data` stays.

        Args:
            data: as `export` gives them. Each profile is there whole: nothing is filled in.
            prune: delete the profiles that are not in `data`, which must then name the default one.
            expect_version: refuse if a profile that is in `data` (with `prune`: any) has changed after this version.
                Default: what has changed until now is overwritten.
        """
        wanted = _exchange.checked(data, prune=prune)
        with self._writing() as current:
            _exchange.store(current.session, wanted, prune=prune, expect_version=expect_version)
        return current.written

    # ---- the session

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
            if expect_version is None:
                raise
            changes = self._changes(document, expect_version)
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
            yield from told(_past.after(session, rows, version))

    def _row(self, session: Session, profile: str | None) -> ConfigProfile:
        wanted = ConfigProfile.is_default if profile is None else ConfigProfile.name == profile
        row = session.scalar(sa.select(ConfigProfile).where(wanted))
        if row is None:
            raise missing(ACTIVE if profile is None else PROFILE + profile)
        return row
