"""Reading what is published, now and in the past. A member of hotconfig_reader may."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from hotconfig._content import ACTIVE, PROFILE, missing
from hotconfig._edits import Edit, Written, edit_of
from hotconfig._write import config_state
from hotconfig.errors import HotConfigError
from hotconfig.models import ConfigHistory, config_documents
from hotconfig.snapshot import split_path

Document = dict[str, Any]
History = sa.Select[ConfigHistory]

EMPTY_WENT: Document = {"": {"old": {}, "new": None}}
"""The changes of the row that tells that a document without domains is published no longer."""


def published(session: Session, name: str) -> Document | None:
    """A document as it is published now, its version included; None: it is not."""
    columns = sa.select(config_documents.c.document, config_documents.c.version)
    row = session.execute(columns.where(config_documents.c.name == name)).one_or_none()
    return None if row is None or row.document is None else {**row.document, "version": row.version}


def default_name(session: Session) -> str:
    """The name of the default profile. Raises NoDefaultProfile."""
    document = published(session, ACTIVE)
    if document is None:
        raise missing(ACTIVE)
    name: str = document["profile"]["name"]
    return name


def check_version(session: Session, version: int) -> None:
    """Refuse a version of the future, which would else be taken for the newest one."""
    newest = session.scalar(sa.select(config_state.c.version)) or 0
    if version > newest:
        raise HotConfigError(f"there is no version {version} yet: the newest one is {newest}")


def profile_ids(session: Session, name: str) -> list[int]:
    """The ids of the profiles that have or had this name: the living one first, then from the newest on."""
    rows = (
        sa.select(ConfigHistory.profile_id)
        .where(ConfigHistory.document == PROFILE + name, ConfigHistory.profile_id.is_not(None))
        .group_by(ConfigHistory.profile_id)
        .order_by(sa.func.max(ConfigHistory.id).desc())
    )
    ids = [id_ for id_ in session.scalars(rows) if id_ is not None]
    living = published(session, PROFILE + name)
    if living is not None:
        id_ = living["profile"]["id"]
        ids = [id_, *(each for each in ids if each != id_)]
    if not ids:
        raise missing(PROFILE + name)
    return ids


def as_of(
    session: Session,
    whose: sa.ColumnElement[bool],
    *,
    version: int | None = None,
    before: int | None = None,
    at: datetime | None = None,
) -> Document | None:
    """A document at a version, before one, or at a time, its own version included; None: it was not there.

    Raises HotConfigError if that was pruned from the history.
    """
    rows = sa.select(ConfigHistory).where(whose).order_by(ConfigHistory.id.desc()).limit(1)
    if version is not None:
        rows = rows.where(ConfigHistory.version <= version)
    if before is not None:
        rows = rows.where(ConfigHistory.version < before)
    if at is not None:
        rows = rows.where(ConfigHistory.timestamp <= at)
    last = session.scalar(rows)
    if last is None:
        _check_beginning(session, whose)
        return None
    # A row tells the document after its change: if that still has the domain that was deleted, it is the last one
    # before the whole document went; an empty one has none.
    if last.action == "delete" and (last.domain in last.snapshot or last.changes == EMPTY_WENT):
        return None
    return {**last.snapshot, "version": last.version}


def _check_beginning(session: Session, whose: sa.ColumnElement[bool]) -> None:
    """Refuse to tell what came before a history that does not begin with the document's creation."""
    first = sa.select(sa.func.min(ConfigHistory.version)).where(whose).scalar_subquery()
    rows = session.scalars(sa.select(ConfigHistory).where(whose, ConfigHistory.version == first)).all()
    created = {row.domain for row in rows if row.action == "create"}
    if rows and not (created and created >= rows[-1].snapshot.keys()):
        raise HotConfigError(
            f"the history of {rows[-1].document} begins with version {rows[-1].version}: what came before was pruned, "
            "and cannot be shown or brought back"
        )


def profile_as_of(
    session: Session,
    name: str,
    *,
    version: int | None = None,
    before: int | None = None,
    at: datetime | None = None,
) -> Document | None:
    """`as_of` a profile, whatever its name was then; else of one that had the name before it."""
    for id_ in profile_ids(session, name):
        found = as_of(session, ConfigHistory.profile_id == id_, version=version, before=before, at=at)
        if found is not None:
            return found
    return None


def newest_change(session: Session, name: str) -> int:
    """The version of a profile's newest change, its deletion included."""
    newest = sa.select(sa.func.max(ConfigHistory.version))
    return session.scalar(newest.where(ConfigHistory.profile_id == profile_ids(session, name)[0])) or 0


def versions_before(session: Session, written: Written) -> dict[str, int]:
    """The version that each document had before a write changed it; 0: there was none."""
    names = {edit.document: edit.document for edit in written.edits}
    for edit in written.edits:
        old, _ = edit.changes.get("name", (None, None))
        if edit.domain == "profile" and edit.document.startswith(PROFILE) and isinstance(old, str):
            names[edit.document] = PROFILE + old  # what it was called
    name = sa.func.unnest(sa.literal([*names.values()], ARRAY(sa.Text))).column_valued("name")
    newest = (
        sa.select(ConfigHistory.version)
        .where(ConfigHistory.document == name, ConfigHistory.id < min((edit.id for edit in written.edits), default=0))
        .order_by(ConfigHistory.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = {row[0]: row[1] for row in session.execute(sa.select(name, newest))}
    return {document: found[before] or 0 for document, before in names.items()}


def filtered(
    rows: History,
    *,
    document: str | None = None,
    domain: str | None = None,
    actor: str | None = None,
    path: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> History:
    """The rows that fit all that is given. Raises ValueError if `path` is none or a time is naive."""
    for column, value in (
        (ConfigHistory.document, document),
        (ConfigHistory.domain, domain),
        (ConfigHistory.changed_by, actor),
    ):
        if value is not None:
            rows = rows.where(column == value)
    for time in (since, until):
        check_aware(time)
    if since is not None:
        rows = rows.where(ConfigHistory.timestamp >= since)
    if until is not None:
        rows = rows.where(ConfigHistory.timestamp <= until)
    if path is not None:
        first, *steps = split_path(path)
        rows = rows.where(ConfigHistory.domain == first)
        if steps:
            # The empty field is the domain itself, which was no object: whatever is below it is gone or new.
            old, new = (ConfigHistory.changes[(steps[0], side, *steps[1:])] for side in ("old", "new"))
            rows = rows.where(old.is_distinct_from(new) | ConfigHistory.changes.has_key(""))
    return rows


def check_aware(time: datetime | None) -> None:
    if time is not None and time.utcoffset() is None:
        raise ValueError(f"{time} has no time zone: give one, such as tzinfo=datetime.UTC")


def after(session: Session, rows: History, version: int, *, versions: int = 100) -> list[Edit]:
    """The edits of the next versions, each version whole, oldest first; at most those of so many versions."""
    later = rows.where(ConfigHistory.version > version)
    numbers = later.with_only_columns(ConfigHistory.version).distinct().order_by(ConfigHistory.version).limit(versions)
    last = session.scalar(sa.select(sa.func.max(numbers.subquery().c.version)))
    if last is None:
        return []
    page = later.where(ConfigHistory.version <= last).order_by(ConfigHistory.id)
    return [edit_of(row) for row in session.scalars(page)]
