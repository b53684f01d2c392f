"""The table image_settings, and the document that is made from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# PostgreSQL reads the body now, so the table is that of this schema, whatever the search_path is when it is called.
DOCUMENT = """
    CREATE FUNCTION listing_genie_document() RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    RETURN (SELECT jsonb_build_object(
        'enabled', coalesce(jsonb_agg(image_type ORDER BY image_type) FILTER (WHERE enabled), '[]'),
        'images', coalesce(jsonb_object_agg(image_type, jsonb_build_object(
            'prompt', prompt, 'max_retries', max_retries)), '{}')) FROM image_settings)
"""


def upgrade() -> None:
    op.create_table(
        "image_settings",
        sa.Column("image_type", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("max_retries", sa.Integer(), server_default="2", nullable=False),
        sa.CheckConstraint(
            "image_type IN ('main', 'infographic_1', 'infographic_2', 'lifestyle', 'comparison')",
            name=op.f("image_settings_image_type_check"),
        ),
        sa.CheckConstraint(
            r"prompt ~ '^([^{}]|\{(product_title|features|target_audience|keywords)\})+$'",
            name=op.f("image_settings_prompt_check"),
        ),
        sa.CheckConstraint("max_retries BETWEEN 0 AND 10", name=op.f("image_settings_max_retries_check")),
        sa.PrimaryKeyConstraint("image_type", name=op.f("image_settings_pkey")),
    )
    op.execute(DOCUMENT)
    op.watch_table(  # type: ignore[attr-defined]  # hotconfig's, which Alembic's stub does not know
        "image_settings",
        publishes="listing_genie",
        function="listing_genie_document",
        columns=["image_type", "enabled", "prompt", "max_retries"],
    )


def downgrade() -> None:
    op.unwatch_table("image_settings", publishes="listing_genie")  # type: ignore[attr-defined]
    op.execute("DROP FUNCTION listing_genie_document()")
    op.drop_table("image_settings")
