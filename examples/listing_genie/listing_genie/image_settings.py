"""The table in PostgreSQL that the settings are edited in, and what makes it hot. A reader needs none of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hotconfig import migrations
from hotconfig.conninfo import Conninfo
from hotconfig.migrations import Function

from listing_genie.settings import DOCUMENT, MOST_RETRIES, PROMPT, ImageType

# Without a schema: the tables are where the search_path of the role or of the database begins.
metadata = sa.MetaData(
    naming_convention={"pk": "%(table_name)s_pkey", "ck": "%(table_name)s_%(constraint_name)s_check"},
    info={
        "hotconfig": {
            DOCUMENT: Function(
                "listing_genie_document", {"image_settings": ["image_type", "enabled", "prompt", "max_retries"]}
            )
        }
    },
)

image_settings = sa.Table(
    "image_settings",
    metadata,
    sa.Column("image_type", sa.Text, primary_key=True),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("max_retries", sa.Integer, nullable=False, server_default="2"),
    # What Pydantic would refuse is refused where it is typed.
    sa.CheckConstraint(f"image_type IN ({', '.join(repr(str(each)) for each in ImageType)})", "image_type"),
    sa.CheckConstraint(f"prompt ~ '{PROMPT}'", "prompt"),
    sa.CheckConstraint(f"max_retries BETWEEN 0 AND {MOST_RETRIES}", "max_retries"),
)

SEEDS = {
    ImageType.MAIN: "{product_title} on a white ground, from the front.",
    ImageType.INFOGRAPHIC_1: "{product_title} with arrows that point at: {features}.",
    ImageType.INFOGRAPHIC_2: "How {product_title} is used, in three steps, for those who search {keywords}.",
    ImageType.LIFESTYLE: "{product_title} in the hands of {target_audience}, at home.",
    ImageType.COMPARISON: "{product_title} beside an ordinary one: {features}.",
}


def migrate(conninfo: Conninfo | None = None) -> None:
    """Bring hotconfig's tables and this one up to date; an empty one gets its first rows.

    Raises:
        hotconfig.Unavailable: the server cannot be reached, or the role may not create tables there.
    """
    migrations.upgrade(conninfo)
    with migrations.connect(conninfo) as connection, connection.begin():
        command.upgrade(history(connection), "head")
        if not connection.scalar(sa.select(sa.exists().select_from(image_settings))):
            connection.execute(
                sa.insert(image_settings), [{"image_type": each, "prompt": prompt} for each, prompt in SEEDS.items()]
            )


def history(connection: sa.Connection) -> Config:
    """For Alembic's commands, on this connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "listing_genie:migrations")
    return config
