"""One writing transaction: who and why, what it was based on, what it made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, defer

from hotconfig._content import PROFILE, parse
from hotconfig._edits import WENT, Edit, Written, edit_of
from hotconfig._engine import one_of
from hotconfig._rows import from_rows
from hotconfig.errors import HotConfigError, VersionConflict
from hotconfig.models import ConfigHistory, ConfigProfile, config_documents
from hotconfig.profile import ProfileConfig

# Apart from the models: nobody writes it but the triggers.
config_state = sa.Table(
    "config_state",
    sa.MetaData(),
    sa.Column("version", sa.BigInteger),
    sa.Column("txid", sa.Text),
    sa.Column("began", sa.DateTime(timezone=True)),
)
OURS = (config_state.c.txid == sa.func.pg_current_xact_id()) & (config_state.c.began == sa.func.transaction_timestamp())
STATE = sa.select(config_state.c.version, sa.func.coalesce(OURS, False))


NOTHING = Written(0, (), {})


@dataclass(slots=True)
class Writing:
    """A transaction that is being written: change rows in `session`; `written` is there at its end."""

    session: Session
    written: Written = NOTHING


@contextmanager
def writing(
    engine: sa.Engine,
    *,
    actor: str | None,
    note: str | None,
    expected: Mapping[str, int],
    dry_run: bool,
) -> Iterator[Writing]:
    """A transaction whose changes are published, checked and committed at the end; rolled back in a dry run.

    The constraints become immediate inside the transaction, so that a dry run meets every one that a commit would, and
    the version is known before the commit: afterwards it could be another transaction's. Each profile document that it
    makes is validated with ProfileConfig.
    """
    with Session(engine) as session, session.begin() as transaction:
        settings = {
            "hotconfig.actor": actor or "",
            "hotconfig.note": note or "",
            "hotconfig.expect_version": json.dumps(expected) if expected else "",
        }
        session.execute(sa.select(*[sa.func.set_config(name, value, True) for name, value in settings.items()]))
        current = Writing(session)
        yield current
        session.flush()
        session.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
        version, ours = session.execute(STATE).one()
        if ours:
            made = sa.select(ConfigHistory).where(ConfigHistory.version == version).order_by(ConfigHistory.id)
            made = made.options(defer(ConfigHistory.snapshot))  # a document for each row: most of what would be sent
            edits = tuple(map(edit_of, session.scalars(made)))
            current.written = Written(version, edits, _old_versions(session, edits))
            _validate(session, sorted({edit.document for edit in edits if edit.document.startswith(PROFILE)}))
        else:
            # Nothing differed. Whoever expected another version is told so all the same.
            _check_expected(session, expected)
            _check_published(session)
            current.written = Written(version, (), {})
        if dry_run:
            transaction.rollback()


def _old_versions(session: Session, edits: Sequence[Edit]) -> dict[str, int]:
    names = {edit.document: edit.document for edit in edits}
    for edit in edits:
        old, _ = edit.changes.get("name", (None, None))
        if edit.domain == "profile" and edit.document.startswith(PROFILE) and isinstance(old, str):
            names[edit.document] = PROFILE + old  # what it was called
    name = sa.func.unnest(sa.literal([*names.values()], ARRAY(sa.Text))).column_valued("name")
    newest = (
        sa.select(sa.case((WENT, 0), else_=ConfigHistory.version))
        .where(ConfigHistory.document == name, ConfigHistory.id < min((edit.id for edit in edits), default=0))
        .order_by(ConfigHistory.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = {row[0]: row[1] for row in session.execute(sa.select(name, newest))}
    return {document: found[old] or 0 for document, old in names.items()}


def _validate(session: Session, documents: Sequence[str]) -> None:
    columns = sa.select(config_documents.c.name, sa.cast(config_documents.c.document, sa.Text))
    written = columns.where(one_of(config_documents.c.name, documents), config_documents.c.document.is_not(None))
    for name, document in session.execute(written):
        parse(ProfileConfig, document.encode(), name)


def _check_published(session: Session) -> None:
    """Refuse to save, or to call saved, what nobody sees: a trigger is missing or disabled."""
    rows = {PROFILE + row.name: row for row in session.identity_map.values() if isinstance(row, ConfigProfile)}
    columns = sa.select(config_documents.c.name, config_documents.c.document)
    found = dict(session.execute(columns.where(one_of(config_documents.c.name, sorted(rows)))).all())
    for document, row in rows.items():
        if from_rows(row) != found.get(document):
            raise HotConfigError(
                f"nothing was saved: the tables of {document!r} are not what is published, since a trigger is missing "
                "or disabled, or was. Next: `hotconfig doctor` says which."
            )


def _check_expected(session: Session, expected: Mapping[str, int]) -> None:
    for document, version in expected.items():
        found = session.scalar(sa.select(config_documents.c.version).where(config_documents.c.name == document))
        if found != version:
            shown = "none" if found is None else found
            raise VersionConflict(f'document "{document}" is at version {shown}, not at {version}.')
