"""The six tables, their enums, and the document of the agents and the customers' plans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from hotconfig import migrations
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VALUES = {
    "customer_plan": ["free", "startup", "enterprise"],
    "customer_status": ["active", "suspended", "churned"],
    "agent_type": ["orchestrator", "cost", "performance", "resource", "application"],
    "agent_status": ["starting", "healthy", "degraded", "failed", "stopped"],
    "event_severity": ["info", "warning", "error", "critical"],
    "recommendation_priority": ["low", "medium", "high", "critical"],
    "recommendation_status": ["pending", "approved", "rejected", "executing", "completed", "failed", "rolled_back"],
    "approval_status": ["pending", "approved", "rejected"],
    "optimization_status": ["queued", "executing", "completed", "failed", "rolled_back"],
}
# Made and dropped here, since a table that is dropped leaves its types behind.
ENUMS = {name: postgresql.ENUM(*values, name=name, create_type=False) for name, values in VALUES.items()}


def upgrade() -> None:
    for enum in ENUMS.values():
        enum.create(op.get_bind(), checkfirst=False)
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("type", ENUMS["agent_type"], nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("status", ENUMS["agent_status"], server_default="starting", nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("capabilities", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("last_heartbeat", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "jsonb_typeof(capabilities) = 'array'"
            """ AND NOT jsonb_path_exists(capabilities, '$[*] ? (@.type() <> "string")')""",
            name=op.f("agents_capabilities_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agents_pkey")),
        sa.UniqueConstraint("type", "name", name=op.f("agents_type_name_key")),
    )
    op.create_index(op.f("agents_last_heartbeat_idx"), "agents", ["last_heartbeat"])
    op.create_index(op.f("agents_status_idx"), "agents", ["status"])
    op.create_table(
        "customers",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("api_key", sa.String(length=64), nullable=False),
        sa.Column("plan", ENUMS["customer_plan"], server_default="free", nullable=False),
        sa.Column("status", ENUMS["customer_status"], server_default="active", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("customers_pkey")),
        sa.UniqueConstraint("api_key", name=op.f("customers_api_key_key")),
        sa.UniqueConstraint("email", name=op.f("customers_email_key")),
    )
    op.create_index(op.f("customers_created_at_idx"), "customers", ["created_at"])
    op.create_index(op.f("customers_plan_idx"), "customers", ["plan"])
    op.create_index(op.f("customers_status_idx"), "customers", ["status"])
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid()),
        sa.Column("event_type", sa.String(length=100), nullable=False),
        sa.Column("severity", ENUMS["event_severity"], server_default="info", nullable=False),
        sa.Column("data", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("events_agent_id_fkey"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("events_customer_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
    )
    op.create_index(op.f("events_agent_id_created_at_idx"), "events", ["agent_id", "created_at"])
    op.create_index(op.f("events_created_at_idx"), "events", ["created_at"])
    op.create_index(op.f("events_customer_id_created_at_idx"), "events", ["customer_id", "created_at"])
    op.create_index(op.f("events_event_type_idx"), "events", ["event_type"])
    op.create_index(op.f("events_severity_idx"), "events", ["severity"])
    op.create_table(
        "recommendations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("estimated_savings", sa.Numeric(precision=10, scale=2)),
        sa.Column("estimated_improvement", sa.Numeric(precision=10, scale=2)),
        sa.Column("confidence_score", sa.Double(), nullable=False),
        sa.Column("priority", ENUMS["recommendation_priority"], server_default="medium", nullable=False),
        sa.Column("status", ENUMS["recommendation_status"], server_default="pending", nullable=False),
        sa.Column("data", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True)),
        sa.Column("executed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("confidence_score BETWEEN 0 AND 1", name=op.f("recommendations_confidence_score_check")),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("recommendations_agent_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("recommendations_customer_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("recommendations_pkey")),
    )
    op.create_index(op.f("recommendations_agent_id_idx"), "recommendations", ["agent_id"])
    op.create_index(op.f("recommendations_created_at_idx"), "recommendations", ["created_at"])
    op.create_index(
        op.f("recommendations_customer_id_created_at_idx"), "recommendations", ["customer_id", "created_at"]
    )
    op.create_index(op.f("recommendations_customer_id_status_idx"), "recommendations", ["customer_id", "status"])
    op.create_index(op.f("recommendations_priority_idx"), "recommendations", ["priority"])
    op.create_index(op.f("recommendations_status_idx"), "recommendations", ["status"])
    op.create_index(op.f("recommendations_type_idx"), "recommendations", ["type"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("status", ENUMS["approval_status"], server_default="pending", nullable=False),
        sa.Column("comment", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["recommendation_id"],
            ["recommendations.id"],
            name=op.f("approvals_recommendation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("approvals_pkey")),
    )
    op.create_index(op.f("approvals_created_at_idx"), "approvals", ["created_at"])
    op.create_index(op.f("approvals_recommendation_id_idx"), "approvals", ["recommendation_id"])
    op.create_index(op.f("approvals_status_idx"), "approvals", ["status"])
    op.create_table(
        "optimizations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("status", ENUMS["optimization_status"], server_default="queued", nullable=False),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("actual_savings", sa.Numeric(precision=10, scale=2)),
        sa.Column("actual_improvement", sa.Numeric(precision=10, scale=2)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("rolled_back_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("optimizations_progress_check")),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("optimizations_agent_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("optimizations_customer_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["recommendation_id"],
            ["recommendations.id"],
            name=op.f("optimizations_recommendation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("optimizations_pkey")),
    )
    op.create_index(op.f("optimizations_agent_id_idx"), "optimizations", ["agent_id"])
    op.create_index(op.f("optimizations_created_at_idx"), "optimizations", ["created_at"])
    op.create_index(op.f("optimizations_customer_id_created_at_idx"), "optimizations", ["customer_id", "created_at"])
    op.create_index(op.f("optimizations_customer_id_status_idx"), "optimizations", ["customer_id", "status"])
    op.create_index(op.f("optimizations_recommendation_id_idx"), "optimizations", ["recommendation_id"])
    op.create_index(op.f("optimizations_status_idx"), "optimizations", ["status"])
    op.publish_document(  # type: ignore[attr-defined]  # Alembic's types have Alembic's own operations only
        "optiinfra",
        {
            "agents": migrations.RowsByKey("agents", ["type", "name"], ["endpoint", "status", "capabilities"]),
            "plans": migrations.KeyValue("customers", key="id", value="plan", where={"status": "active"}),
        },
    )


def downgrade() -> None:
    op.unpublish_document("optiinfra")  # type: ignore[attr-defined]
    op.drop_table("optimizations")
    op.drop_table("approvals")
    op.drop_table("recommendations")
    op.drop_table("events")
    op.drop_table("customers")
    op.drop_table("agents")
    for enum in ENUMS.values():
        enum.drop(op.get_bind(), checkfirst=False)
