"""The SQLAlchemy models of the configuration tables: what the writing side and Alembic hold.

`ConfigProfile` and its kin are rows of tables. What a reader holds is another thing, the frozen Pydantic model
`hotconfig.ProfileConfig`. Write through these models, through plain SQL, through anything: the triggers publish at
commit all the same.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = [
    "Base",
    "ConfigAIInfra",
    "ConfigGenieSpace",
    "ConfigHistory",
    "ConfigMLflow",
    "ConfigProfile",
    "ConfigPrompts",
    "config_documents",
    "config_sources",
]

ACTOR = text("left(coalesce(nullif(current_setting('hotconfig.actor', true), ''), session_user), 255)")


def _not_blank(table: str, column: str) -> CheckConstraint:
    return CheckConstraint(rf"btrim({column}, E' \t\n\r\f\x0B') <> ''", name=f"{table}_{column}_not_blank")


class Base(DeclarativeBase):
    """Tables without a schema: `connection.execution_options(schema_translate_map={None: schema})` places them."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


def _settings() -> Any:
    # The row goes with its profile: by the session if it is loaded, by the foreign key if it is not.
    return relationship(back_populates="profile", cascade="all, delete-orphan", passive_deletes=True)


class _Row:
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), server_onupdate=func.now())


class ConfigProfile(_Row, Base):
    """A row of config_profiles: a named set of settings. Readers hold `hotconfig.ProfileConfig` instead."""

    __tablename__ = "config_profiles"
    __table_args__ = (
        _not_blank("config_profiles", "name"),
        UniqueConstraint("name", name="config_profiles_name_key"),
        Index("config_profiles_default", "id", postgresql_where=text("is_default")),
    )

    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))
    created_by: Mapped[str | None] = mapped_column(String(255), server_default=ACTOR)
    updated_by: Mapped[str | None] = mapped_column(String(255), server_default=ACTOR, server_onupdate=FetchedValue())

    ai_infra: Mapped[ConfigAIInfra | None] = _settings()
    genie_space: Mapped[ConfigGenieSpace | None] = _settings()
    mlflow: Mapped[ConfigMLflow | None] = _settings()
    prompts: Mapped[ConfigPrompts | None] = _settings()


class _Settings(_Row):
    profile_id: Mapped[int] = mapped_column(ForeignKey("config_profiles.id", ondelete="CASCADE"))


class ConfigAIInfra(_Settings, Base):
    """A row of config_ai_infra: which model a profile talks to, and how."""

    __tablename__ = "config_ai_infra"
    __table_args__ = (
        UniqueConstraint("profile_id", name="config_ai_infra_profile_id_key"),
        _not_blank("config_ai_infra", "llm_endpoint"),
        CheckConstraint("llm_temperature BETWEEN 0 AND 1", name="config_ai_infra_llm_temperature_range"),
        CheckConstraint("llm_max_tokens > 0", name="config_ai_infra_llm_max_tokens_positive"),
    )

    llm_endpoint: Mapped[str] = mapped_column(String(255))
    llm_temperature: Mapped[Decimal] = mapped_column(Numeric(3, 2))
    llm_max_tokens: Mapped[int]

    profile: Mapped[ConfigProfile] = relationship(back_populates="ai_infra")


class ConfigGenieSpace(_Settings, Base):
    """A row of config_genie_spaces: the Genie space that a profile asks."""

    __tablename__ = "config_genie_spaces"
    __table_args__ = (
        UniqueConstraint("profile_id", name="config_genie_spaces_profile_id_key"),
        _not_blank("config_genie_spaces", "space_id"),
    )

    space_id: Mapped[str] = mapped_column(String(255))
    space_name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)

    profile: Mapped[ConfigProfile] = relationship(back_populates="genie_space")


class ConfigMLflow(_Settings, Base):
    """A row of config_mlflow: where a profile's runs are logged."""

    __tablename__ = "config_mlflow"
    __table_args__ = (
        UniqueConstraint("profile_id", name="config_mlflow_profile_id_key"),
        CheckConstraint("experiment_name LIKE '/%'", name="config_mlflow_experiment_name_absolute"),
    )

    experiment_name: Mapped[str] = mapped_column(String(255))

    profile: Mapped[ConfigProfile] = relationship(back_populates="mlflow")


class ConfigPrompts(_Settings, Base):
    """A row of config_prompts: what a profile tells the model."""

    __tablename__ = "config_prompts"
    __table_args__ = (
        UniqueConstraint("profile_id", name="config_prompts_profile_id_key"),
        _not_blank("config_prompts", "system_prompt"),
        _not_blank("config_prompts", "slide_editing_instructions"),
        CheckConstraint(
            "user_prompt_template LIKE '%{question}%'", name="config_prompts_user_prompt_template_question"
        ),
    )

    system_prompt: Mapped[str] = mapped_column(Text)
    slide_editing_instructions: Mapped[str] = mapped_column(Text)
    user_prompt_template: Mapped[str] = mapped_column(Text)

    profile: Mapped[ConfigProfile] = relationship(back_populates="prompts")


class ConfigHistory(Base):
    """A row of config_history: one domain of one document in one version. Written by the triggers alone."""

    __tablename__ = "config_history"
    __table_args__ = (
        CheckConstraint("action IN ('create', 'update', 'delete', 'activate')", name="config_history_action_known"),
        CheckConstraint(
            "document NOT LIKE 'profile/%' OR domain IN ('profile', 'ai_infra', 'genie', 'mlflow', 'prompts')",
            name="config_history_domain_known",
        ),
        Index("config_history_profile", "profile_id", "id"),
        Index("config_history_actor", "changed_by", "id"),
        Index("config_history_document", "document", "id"),
        Index("config_history_domain", "domain"),
        Index("config_history_timestamp", text('"timestamp" DESC')),
        Index("config_history_version", "version"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    profile_id: Mapped[int | None]
    document: Mapped[str] = mapped_column(Text)
    domain: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    changed_by: Mapped[str] = mapped_column(String(255))
    note: Mapped[str | None] = mapped_column(Text)
    db_user: Mapped[str] = mapped_column(Text)
    application_name: Mapped[str] = mapped_column(Text)
    changes: Mapped[dict[str, Any]]
    snapshot: Mapped[dict[str, Any]]
    timestamp: Mapped[datetime]


config_documents = Table(
    "config_documents",
    Base.metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("token", Uuid[UUID](), nullable=False),
    Column("document", JSONB),
    Column(
        "profile",
        JSONB,
        # As PostgreSQL shows it, so that autogenerate finds no difference.
        Computed(
            "CASE WHEN name ~~ 'profile/%'::text THEN document -> 'profile'::text ELSE NULL::jsonb END", persisted=True
        ),
    ),
    CheckConstraint("jsonb_typeof(document) = 'object'", name="config_documents_object"),
    CheckConstraint("NOT document ? 'version'", name="config_documents_version_reserved"),
    Index(
        "config_documents_profile",
        text("((profile ->> 'id')::integer)"),
        postgresql_where=text("profile IS NOT NULL"),
    ),
)
"""What readers load; a null document was deleted or renamed."""

config_sources = Table(
    "config_sources",
    Base.metadata,
    Column("schema", Text, primary_key=True),
    Column("table", Text, primary_key=True),
    Column("document", Text, primary_key=True),
    Column("function", Text, nullable=False),
    Column("columns", ARRAY(Text)),
)
"""Which table is watched for which document."""


def metadata_in(schema: str | None) -> MetaData:
    """The same tables, placed in a schema (None: the search_path's first), for Alembic to compare a database with."""
    placed = MetaData()
    for table in Base.metadata.sorted_tables:
        table.to_metadata(placed, schema=schema)  # type: ignore[arg-type]  # None is taken as it is
    return placed
