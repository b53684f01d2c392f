"""The six tables, and the document that is made from two of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from hotconfig.migrations import KeyValue, RowsByKey
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from optiinfra import enums
from optiinfra.registry import DOCUMENT

ENUMS = {
    "customer_plan": enums.CustomerPlan,
    "customer_status": enums.CustomerStatus,
    "agent_type": enums.AgentType,
    "agent_status": enums.AgentStatus,
    "event_severity": enums.EventSeverity,
    "recommendation_priority": enums.RecommendationPriority,
    "recommendation_status": enums.RecommendationStatus,
    "approval_status": enums.ApprovalStatus,
    "optimization_status": enums.OptimizationStatus,
}

HOT = {
    "agents": RowsByKey("agents", ("type", "name"), ["endpoint", "status", "capabilities"]),
    # By the id, since whoever has an api_key is not to be found by anything that is published.
    "plans": KeyValue("customers", key="id", value="plan", where={"status": "active"}),
}

Key = Annotated[UUID, mapped_column(primary_key=True, server_default=func.gen_random_uuid())]
Now = Annotated[datetime, mapped_column(server_default=func.now())]
Updated = Annotated[datetime, mapped_column(server_default=func.now(), onupdate=func.now())]
Object = Annotated[dict[str, Any], mapped_column(JSONB, server_default="{}")]
Amount = Annotated[Decimal, mapped_column(sa.Numeric(10, 2))]
OfCustomer = Annotated[UUID, mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))]
OfAgent = Annotated[UUID, mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))]
OfRecommendation = Annotated[UUID, mapped_column(ForeignKey("recommendations.id", ondelete="CASCADE"))]


class Base(DeclarativeBase):
    # Without a schema: the tables are where the search_path begins.
    metadata = sa.MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        },
        info={"hotconfig": {DOCUMENT: HOT}},
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: sa.Text,
        datetime: sa.DateTime(timezone=True),
        **{
            each: sa.Enum(each, name=name, values_callable=lambda members: [str(member) for member in members])
            for name, each in ENUMS.items()
        },
    }


class Customer(Base):
    __tablename__ = "customers"
    __table_args__ = (Index(None, "plan"), Index(None, "status"), Index(None, "created_at"))

    id: Mapped[Key]
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    api_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    plan: Mapped[enums.CustomerPlan] = mapped_column(server_default="free")
    status: Mapped[enums.CustomerStatus] = mapped_column(server_default="active")
    details: Mapped[Object] = mapped_column("metadata")  # SQLAlchemy has the name for itself
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class Agent(Base):
    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("type", "name"),
        # What the document's readers would refuse is refused where it is typed.
        CheckConstraint(
            "jsonb_typeof(capabilities) = 'array'"
            """ AND NOT jsonb_path_exists(capabilities, '$[*] ? (@.type() <> "string")')""",
            "capabilities",
        ),
        Index(None, "status"),
        Index(None, "last_heartbeat"),
    )

    id: Mapped[Key]
    type: Mapped[enums.AgentType]
    name: Mapped[str]
    version: Mapped[str]
    status: Mapped[enums.AgentStatus] = mapped_column(server_default="starting")
    endpoint: Mapped[str]
    capabilities: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")
    details: Mapped[Object] = mapped_column("metadata")
    last_heartbeat: Mapped[datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class Event(Base):
    __tablename__ = "events"
    __table_args__ = (
        Index(None, "customer_id", "created_at"),
        Index(None, "agent_id", "created_at"),
        Index(None, "event_type"),
        Index(None, "severity"),
        Index(None, "created_at"),
    )

    id: Mapped[Key]
    customer_id: Mapped[OfCustomer]
    # What happened stays known when the agent is gone.
    agent_id: Mapped[UUID | None] = mapped_column(ForeignKey("agents.id", ondelete="SET NULL"))
    event_type: Mapped[str] = mapped_column(sa.String(100))
    severity: Mapped[enums.EventSeverity] = mapped_column(server_default="info")
    data: Mapped[Object]
    created_at: Mapped[Now]


class Recommendation(Base):
    __tablename__ = "recommendations"
    __table_args__ = (
        CheckConstraint("confidence_score BETWEEN 0 AND 1", "confidence_score"),
        Index(None, "customer_id", "created_at"),
        Index(None, "customer_id", "status"),
        Index(None, "agent_id"),
        Index(None, "type"),
        Index(None, "priority"),
        Index(None, "status"),
        Index(None, "created_at"),
    )

    id: Mapped[Key]
    customer_id: Mapped[OfCustomer]
    agent_id: Mapped[OfAgent]
    type: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    estimated_savings: Mapped[Amount | None]
    estimated_improvement: Mapped[Amount | None]
    confidence_score: Mapped[float] = mapped_column(sa.Double)
    priority: Mapped[enums.RecommendationPriority] = mapped_column(server_default="medium")
    status: Mapped[enums.RecommendationStatus] = mapped_column(server_default="pending")
    data: Mapped[Object]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]
    approved_at: Mapped[datetime | None]
    executed_at: Mapped[datetime | None]


class Approval(Base):
    __tablename__ = "approvals"
    __table_args__ = (Index(None, "recommendation_id"), Index(None, "status"), Index(None, "created_at"))

    id: Mapped[Key]
    recommendation_id: Mapped[OfRecommendation]
    approved_by: Mapped[str | None]
    status: Mapped[enums.ApprovalStatus] = mapped_column(server_default="pending")
    comment: Mapped[str | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class Optimization(Base):
    __tablename__ = "optimizations"
    __table_args__ = (
        CheckConstraint("progress BETWEEN 0 AND 100", "progress"),
        Index(None, "customer_id", "created_at"),
        Index(None, "customer_id", "status"),
        Index(None, "recommendation_id"),
        Index(None, "agent_id"),
        Index(None, "status"),
        Index(None, "created_at"),
    )

    id: Mapped[Key]
    recommendation_id: Mapped[OfRecommendation]
    customer_id: Mapped[OfCustomer]
    agent_id: Mapped[OfAgent]
    status: Mapped[enums.OptimizationStatus] = mapped_column(server_default="queued")
    progress: Mapped[int] = mapped_column(server_default="0")
    result: Mapped[Object]
    error: Mapped[str | None]
    actual_savings: Mapped[Amount | None]
    actual_improvement: Mapped[Amount | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    rolled_back_at: Mapped[datetime | None]
    created_at: Mapped[Now]
