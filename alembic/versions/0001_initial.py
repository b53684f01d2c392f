"""The tables, the publishing at commit, the roles."""

from __future__ import annotations

from alembic import op

from hotconfig._shipped import render, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FILES = (
    *("tables_v1", "publish_v1", "history_v1", "watch_v1", "shapes_v1", "profiles_v1", "regions_v1"),
    *("closed_v1", "roles_v1"),
)


def upgrade() -> None:
    for name in FILES:
        run(name)


def downgrade() -> None:
    run("drop_v1")


def run(name: str) -> None:
    op.execute(text(render(name, op.get_context().opts["hotconfig_schema"])))
