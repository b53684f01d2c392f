"""The eight tables. What of them is hot is declared in the metadata, where `alembic check` looks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

from hotconfig.migrations import KeyValue, RowsByKey
from sqlalchemy import (
    CheckConstraint,
    DateTime,
    FetchedValue,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from youtube_talker.hot import DOCUMENT, TemplateType

Role: TypeAlias = Literal["user", "assistant", "system"]

SHAPES = {
    "config": KeyValue("config"),
    "templates": RowsByKey(
        "templates",
        "template_type",
        ["template_name", "template_content", "variables"],
        where={"is_default": True, "user_id": None},
    ),
}
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
NOW = text("clock_timestamp()")  # not now(): rows of one transaction keep their order


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, values))})", column)


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True, eq=False):
    metadata = MetaData(naming_convention=NAMES, info={"hotconfig": {DOCUMENT: SHAPES}})
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy has it
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, object]: JSONB,
        list[str]: JSONB,
    }
    # A row that was written is as the database has it, with what defaults and triggers have set.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


class Row(Base):
    __abstract__ = True

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=text("gen_random_uuid()"), init=False, sort_order=-1
    )
    created_at: Mapped[datetime] = mapped_column(server_default=NOW, init=False, sort_order=1)


class Updated(MappedAsDataclass, kw_only=True):
    """A trigger sets `updated_at` at each update, since hot rows are edited with plain SQL too."""

    updated_at: Mapped[datetime] = mapped_column(
        server_default=NOW, server_onupdate=FetchedValue(), init=False, sort_order=2
    )


class User(Updated, Row):
    __tablename__ = "users"
    __table_args__ = (CheckConstraint(r"email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'", "email"),)

    email: Mapped[str] = mapped_column(String(255), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255), repr=False)


class UserSession(Row):
    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(255), unique=True, repr=False)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Conversation(Updated, Row):
    __tablename__ = "conversations"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    title: Mapped[str | None] = mapped_column(String(500), default=None)


Index(None, Conversation.updated_at.desc())


class Message(Row):
    __tablename__ = "messages"
    __table_args__ = (
        one_of("role", get_args(Role)),
        Index(None, "metadata", postgresql_using="gin"),
        Index(None, "created_at"),
    )

    conversation_id: Mapped[UUID] = mapped_column(ForeignKey(Conversation.id, ondelete="CASCADE"), index=True)
    role: Mapped[Role] = mapped_column(String(50))
    content: Mapped[str]
    # `metadata` is SQLAlchemy's own attribute of a model.
    meta: Mapped[dict[str, object]] = mapped_column("metadata", server_default=text("'{}'"), default_factory=dict)


class Transcript(Row):
    __tablename__ = "transcripts"
    __table_args__ = (Index(None, "metadata", postgresql_using="gin"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    youtube_video_id: Mapped[str] = mapped_column(String(50), unique=True)
    title: Mapped[str] = mapped_column(String(500))
    channel_name: Mapped[str] = mapped_column(String(255))
    duration: Mapped[int]  # seconds
    transcript_text: Mapped[str] = mapped_column(repr=False)
    meta: Mapped[dict[str, object]] = mapped_column("metadata", server_default=text("'{}'"), default_factory=dict)


class Chunk(Row):
    __tablename__ = "chunks"
    __table_args__ = (
        UniqueConstraint("transcript_id", "chunk_index"),
        Index(None, "metadata", postgresql_using="gin"),
    )

    transcript_id: Mapped[UUID] = mapped_column(ForeignKey(Transcript.id, ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    chunk_text: Mapped[str]
    chunk_index: Mapped[int]
    token_count: Mapped[int]
    meta: Mapped[dict[str, object]] = mapped_column("metadata", server_default=text("'{}'"), default_factory=dict)


class Template(Updated, Row, kw_only=True):
    """A user's own template, or one for everybody, whose user is null."""

    __tablename__ = "templates"
    __table_args__ = (
        one_of("template_type", get_args(TemplateType)),
        UniqueConstraint("user_id", "template_type", "template_name"),
        Index(None, "template_type", "is_default"),
        # The document has one template of a type: a second default is refused here, with the name of this index.
        Index(
            "uq_templates_default_template_type",
            "template_type",
            unique=True,
            postgresql_where=text("is_default AND user_id IS NULL"),
        ),
    )

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), default=None)
    template_type: Mapped[TemplateType] = mapped_column(String(50))
    template_name: Mapped[str] = mapped_column(String(255))
    template_content: Mapped[str]
    variables: Mapped[list[str]] = mapped_column(server_default=text("'[]'"), default_factory=list)
    is_default: Mapped[bool] = mapped_column(server_default=text("false"), default=False)


class ConfigEntry(Updated, Base):
    """A setting; its key is a path, such as `rag.top_k`."""

    __tablename__ = "config"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[object] = mapped_column(JSONB)
    description: Mapped[str] = mapped_column(server_default=text("''"), default="")
