"""The application's own data, in SQLite: sessions, their keywords and their images."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from listing_genie.settings import ImageType

KEPT = timedelta(days=7)


class SessionStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class ImageStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"


class Intent(StrEnum):
    """What somebody who types a keyword is after."""

    DURABILITY = "durability"
    USE_CASE = "use_case"
    STYLE = "style"
    PROBLEM_SOLUTION = "problem_solution"
    COMPARISON = "comparison"


class Time(sa.TypeDecorator[datetime]):
    """An aware time. SQLite has none, so it is kept as UTC without saying so."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone: give it one, such as datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Intents(sa.TypeDecorator[Sequence[Intent]]):
    """A list of them, as JSON."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[Intent] | None, _dialect: sa.Dialect) -> list[Intent]:
        return [Intent(each) for each in value or ()]

    def process_result_value(self, value: Sequence[str] | None, _dialect: sa.Dialect) -> list[Intent]:
        return [Intent(each) for each in value or ()]


def _values(kind: type[StrEnum]) -> list[str]:
    return [each.value for each in kind]


def _one_of(kind: type[StrEnum], name: str) -> sa.Enum:
    return sa.Enum(kind, native_enum=False, create_constraint=True, name=name, values_callable=_values)


def now() -> datetime:
    return datetime.now(UTC)


def _expiry(context: Any) -> datetime:
    created: datetime = context.get_current_parameters()["created_at"]
    return created + KEPT


class Base(DeclarativeBase):
    type_annotation_map = {datetime: Time}  # noqa: RUF012  # as SQLAlchemy reads it


class GenerationSession(Base):
    """A product whose images are made."""

    __tablename__ = "generation_sessions"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    status: Mapped[SessionStatus] = mapped_column(_one_of(SessionStatus, "status"), default=SessionStatus.PENDING)
    upload_path: Mapped[str] = mapped_column(sa.Text)
    product_title: Mapped[str] = mapped_column(sa.String(200))
    feature_1: Mapped[str | None] = mapped_column(sa.String(100))
    feature_2: Mapped[str | None] = mapped_column(sa.String(100))
    feature_3: Mapped[str | None] = mapped_column(sa.String(100))
    target_audience: Mapped[str | None] = mapped_column(sa.String(150))
    created_at: Mapped[datetime] = mapped_column(default=now)
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(default=_expiry)

    keywords: Mapped[list[SessionKeyword]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="SessionKeyword.keyword"
    )
    images: Mapped[list[ImageRecord]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="ImageRecord.image_type"
    )


class SessionKeyword(Base):
    """What customers search, and what for."""

    __tablename__ = "session_keywords"
    __table_args__ = (sa.CheckConstraint("json_type(intent_types) = 'array'", name="intent_types"),)

    session_id: Mapped[str] = mapped_column(
        sa.ForeignKey("generation_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    keyword: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    intent_types: Mapped[Sequence[Intent]] = mapped_column(Intents, default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class ImageRecord(Base):
    """An image that a session gets, or got; `retry_count` is that of the newest attempts."""

    __tablename__ = "image_records"

    session_id: Mapped[str] = mapped_column(
        sa.ForeignKey("generation_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    image_type: Mapped[ImageType] = mapped_column(_one_of(ImageType, "image_type"), primary_key=True)
    storage_path: Mapped[str | None] = mapped_column(sa.Text)
    status: Mapped[ImageStatus] = mapped_column(_one_of(ImageStatus, "status"), default=ImageStatus.PENDING)
    error_message: Mapped[str | None] = mapped_column(sa.Text)
    retry_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    completed_at: Mapped[datetime | None]


for _table in Base.metadata.tables.values():
    for _column in _table.columns:
        if type(_column.type) is sa.String and _column.type.length:  # which SQLite writes down and does not enforce
            _within = sa.func.length(_column) <= _column.type.length
            _table.append_constraint(sa.CheckConstraint(_within, name=f"{_column.name}_length"))


def opened(path: Path) -> sessionmaker[Session]:
    """Transactions on that file; it, its directory and the tables are made if they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))

    @sa.event.listens_for(engine, "connect")
    def _enforce(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")  # of each connection, or SQLite ignores them

    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)
