"""The application's own history, in `alembic_version`, beside hotconfig's."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from hotconfig import migrations


def configuration() -> Config:
    """As pyproject.toml has it, from wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", "youtube_talker:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade() -> None:
    """hotconfig's tables, then the application's. Not within a running event loop: Alembic starts one."""
    migrations.upgrade()
    command.upgrade(configuration(), "head")
