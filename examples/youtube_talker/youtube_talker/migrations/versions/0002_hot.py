"""The settings and the default templates are published."""

from __future__ import annotations

from alembic import op
from hotconfig import migrations

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.publish_document(  # type: ignore[attr-defined]  # hotconfig brings it
        "talker",
        {
            "config": migrations.KeyValue("config"),
            "templates": migrations.RowsByKey(
                "templates",
                "template_type",
                ["template_name", "template_content", "variables"],
                where={"is_default": True, "user_id": None},
            ),
        },
    )


def downgrade() -> None:
    op.unpublish_document("talker")  # type: ignore[attr-defined]
