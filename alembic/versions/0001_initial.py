"""The tables, the publishing at commit, the roles."""

from __future__ import annotations

from alembic import op

from hotconfig import migrations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FILES = ("tables_v1", "publish_v1", "watch_v1", "profiles_v1", "roles_v1")


def upgrade() -> None:
    for name in FILES:
        op.execute(migrations.shipped(name, op.get_context().opts["hotconfig_schema"]))


def downgrade() -> None:
    op.execute(migrations.shipped("drop_v1", op.get_context().opts["hotconfig_schema"]))
