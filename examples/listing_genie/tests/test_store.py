"""What SQLite keeps, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from listing_genie import images, store
from listing_genie.settings import ImageType
from listing_genie.store import GenerationSession, ImageRecord, Intent, SessionKeyword, SessionStatus


@pytest.fixture
def transactions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    made = store.opened(tmp_path / "listing.db")
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def db(transactions: sessionmaker[Session]) -> Iterator[Session]:
    with transactions() as db:
        yield db


def product(**other: Any) -> GenerationSession:
    """With a keyword and two images."""
    return GenerationSession(
        **{
            "upload_path": "a.jpg",
            "product_title": "Bottle",
            "keywords": [SessionKeyword(keyword="bottle", intent_types=[Intent.STYLE])],
            "images": [ImageRecord(image_type=ImageType.MAIN), ImageRecord(image_type=ImageType.LIFESTYLE)],
        }
        | other
    )


def added(db: Session, **other: Any) -> GenerationSession:
    session = product(**other)
    db.add(session)
    db.commit()
    return session


def count(db: Session, table: type[store.Base]) -> int:
    return db.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_a_session_expires_after_seven_days(db: Session) -> None:
    """Its times are aware, also when they are read from the file; it is pending."""
    session = added(db)
    db.expire_all()
    assert len(session.id) == 36
    assert session.status is SessionStatus.PENDING
    assert session.created_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - session.created_at) < timedelta(minutes=5)
    assert session.expires_at - session.created_at == timedelta(days=7)
    assert session.completed_at is None
    assert {image.created_at.tzinfo for image in session.images} == {UTC}


def test_a_time_keeps_its_moment(db: Session) -> None:
    """In whichever zone it is given; without one it is refused."""
    there = datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2)))
    session = added(db, completed_at=there)
    db.expire_all()
    assert session.completed_at == there
    with pytest.raises(StatementError, match="without a zone"):
        added(db, completed_at=there.replace(tzinfo=None))


def test_keywords_and_intents_come_back(db: Session) -> None:
    """As the enum's members; one that is none is refused."""
    session = added(db)
    db.expire_all()
    assert [(each.keyword, each.intent_types) for each in session.keywords] == [("bottle", [Intent.STYLE])]
    with pytest.raises(StatementError, match="'speed' is not a valid Intent"):
        added(db, keywords=[SessionKeyword(keyword="fast", intent_types=["speed"])])


def test_deletes_cascade(db: Session) -> None:
    """By SQLite itself; other sessions keep theirs."""
    session = added(db)
    added(db)
    db.execute(sa.text("DELETE FROM generation_sessions WHERE id = :id"), {"id": session.id})
    assert [count(db, each) for each in (GenerationSession, SessionKeyword, ImageRecord)] == [1, 1, 2]


@pytest.mark.parametrize(
    "row",
    [ImageRecord(session_id="none", image_type=ImageType.MAIN), SessionKeyword(session_id="none", keyword="bottle")],
)
def test_foreign_keys_are_enforced(db: Session, row: store.Base) -> None:
    """On every connection: nothing belongs to a session that there is not."""
    db.add(row)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        db.commit()


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("generation_sessions SET status = 'lost'", "CHECK constraint failed: status"),
        (f"generation_sessions SET product_title = '{'x' * 201}'", "product_title_length"),
        (f"generation_sessions SET feature_1 = '{'x' * 101}'", "feature_1_length"),
        (f"generation_sessions SET feature_2 = '{'x' * 101}'", "feature_2_length"),
        (f"generation_sessions SET feature_3 = '{'x' * 101}'", "feature_3_length"),
        (f"generation_sessions SET target_audience = '{'x' * 151}'", "target_audience_length"),
        ("generation_sessions SET upload_path = NULL", "NOT NULL constraint failed"),
        (f"session_keywords SET keyword = '{'x' * 101}'", "keyword_length"),
        ("""session_keywords SET intent_types = '"style"'""", "intent_types"),
        ("image_records SET image_type = 'poster'", "CHECK constraint failed: image_type"),
        ("image_records SET status = 'partial'", "CHECK constraint failed: status"),
        ("image_records SET image_type = 'main'", "UNIQUE constraint failed: image_records.session_id"),
    ],
)
def test_what_is_refused(db: Session, change: str, constraint: str) -> None:
    """Whatever the client: the constraint is in the file."""
    added(db)
    with pytest.raises(IntegrityError, match=constraint):
        db.execute(sa.text(f"UPDATE {change}"))


def test_lengths_are_those_of_letters(db: Session) -> None:
    """As many as the columns say fit in."""
    added(db, product_title="ü" * 200, feature_3="ü" * 100, target_audience="ü" * 150)


def test_a_start_forgets_what_has_expired(transactions: sessionmaker[Session], tmp_path: Path) -> None:
    """With its files; what was interrupted may be made again."""
    with transactions.begin() as db:
        old, interrupted = product(expires_at=store.now()), product(status=SessionStatus.PROCESSING)
        db.add_all([old, interrupted])
    for session in (old, interrupted):
        (tmp_path / session.id).mkdir()
    with transactions.begin() as db:
        images.recover(db, tmp_path)
    with transactions() as db:
        assert [each.id for each in db.scalars(sa.select(GenerationSession))] == [interrupted.id]
        assert db.get_one(GenerationSession, interrupted.id).status is SessionStatus.PENDING
        assert count(db, ImageRecord) == 2
    assert not (tmp_path / old.id).exists()
    assert (tmp_path / interrupted.id).exists()
