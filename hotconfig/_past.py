"""Reading what is published, now and in the past. A member of hotconfig_reader may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from hotconfig._content import ACTIVE, PROFILE, missing
from hotconfig._edits import WENT, Edit, edit_of
from hotconfig._write import config_state
from hotconfig.errors import HotConfigError
from hotconfig.models import ConfigHistory, config_documents
from hotconfig.snapshot import split_path

Document = dict[str, Any]
History = sa.Select[ConfigHistory]


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


def profile_ids(session: Session, name: str) -> Iterator[int]:
    """The ids of the profiles that have or had this name, the newest first; each is older than all of the one before.

    Raises NoSuchProfile if there was none.
    """
    document = PROFILE + name
    living = sa.select(config_documents.c.profile["id"].as_integer())
    last = session.scalar(living.where(config_documents.c.name == document))
    if last is not None:
        yield last
    rows = sa.select(ConfigHistory.profile_id).order_by(ConfigHistory.id.desc()).limit(1)
    rows = rows.where(ConfigHistory.document == document, ConfigHistory.profile_id.is_not(None))
    while True:
        first = sa.select(sa.func.min(ConfigHistory.id)).where(ConfigHistory.profile_id == last).scalar_subquery()
        found = session.scalar(rows if last is None else rows.where(ConfigHistory.id < first))
        if found is None and last is None:
            raise missing(document)
        if found is None:
            return
        last = found
        yield last


def as_of(
    session: Session, whose: sa.ColumnElement[bool], *, version: int | None = None, at: datetime | None = None
) -> Document | None:
    """A document at a version or at a time, its own version included; None: it was not there.

    Raises HotConfigError if that was pruned from the history.
    """
    rows = sa.select(ConfigHistory, WENT).where(whose).order_by(ConfigHistory.id.desc()).limit(1)
    if version is not None:
        rows = rows.where(ConfigHistory.id <= _last(ConfigHistory.version, version))
    if at is not None:
        rows = rows.where(ConfigHistory.id <= _last(ConfigHistory.timestamp, at))
    found = session.execute(rows).one_or_none()
    if found is None:
        _check_beginning(session, whose)
        return None
    last, went = found
    return None if went else {**last.snapshot, "version": last.version}


def _last(column: InstrumentedAttribute[Any], most: object) -> sa.ScalarSelect[int]:
    """The last row of the history until a version or a time, both of which grow with the id.

    Compared with the id, and not the column itself, since it is the id that the other indexes hold too: so that nothing
    newer need be read.
    """
    rows = sa.select(ConfigHistory.id).where(column <= most)
    return rows.order_by(column.desc(), ConfigHistory.id.desc()).limit(1).scalar_subquery()


def _check_beginning(session: Session, whose: sa.ColumnElement[bool]) -> None:
    """Refuse to tell what came before a history that does not begin with the document's creation."""
    first = sa.select(ConfigHistory.version).where(whose).order_by(ConfigHistory.id).limit(1).scalar_subquery()
    rows = session.scalars(sa.select(ConfigHistory).where(whose, ConfigHistory.version == first)).all()
    created = {row.domain for row in rows if row.action == "create"}
    if rows and not (created and created >= rows[-1].snapshot.keys()):
        raise HotConfigError(
            f"the history of {rows[-1].document} begins with version {rows[-1].version}: what came before was pruned, "
            "and cannot be shown or brought back"
        )


def profile_as_of(
    session: Session, name: str, *, version: int | None = None, at: datetime | None = None
) -> Document | None:
    """`as_of` a profile, whatever its name was then; else of one that had the name before it."""
    for id_ in profile_ids(session, name):
        found = as_of(session, ConfigHistory.profile_id == id_, version=version, at=at)
        if found is not None:
            return found
    return None


def before_newest_change(session: Session, name: str) -> Document | None:
    """A profile before its newest change, which may be its deletion; None: that was its creation.

    Raises HotConfigError if that change was of nothing but which profile is the default one.
    """
    whose = ConfigHistory.profile_id == next(profile_ids(session, name))
    rows = sa.select(ConfigHistory, WENT).where(whose).order_by(ConfigHistory.id.desc()).limit(2)
    (newest, went), *others = session.execute(rows)
    if went:  # its row still tells what went
        return {**newest.snapshot, "version": newest.version}
    alone = all(other.version < newest.version for other, _ in others)
    if newest.action in ("update", "activate") and newest.changes.keys() == {"is_default"} and alone:
        what = "it the default one" if newest.changes["is_default"]["new"] else "another one the default one"
        raise HotConfigError(
            f"the newest change of profile {name!r}, version {newest.version}, made {what}, which no roll back "
            "changes. Next: `hotconfig profile activate NAME`, or name a version with --to."
        )
    return profile_as_of(session, name, version=newest.version - 1)


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
    rows = rows.options(defer(ConfigHistory.snapshot))  # a whole document, which an Edit does not have
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
        later = sa.select(ConfigHistory.id).where(ConfigHistory.timestamp >= since)
        later = later.order_by(ConfigHistory.timestamp, ConfigHistory.id).limit(1)
        rows = rows.where(ConfigHistory.id >= later.scalar_subquery())
    if until is not None:
        rows = rows.where(ConfigHistory.id <= _last(ConfigHistory.timestamp, until))
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
