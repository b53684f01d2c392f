"""An application with migrations of its own, which make its tables hot."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import alembic.command
import pytest
from alembic.config import Config
from conftest import Connect, Psql
from sessions import document, value, version

from hotconfig import migrations

ENV = """
    import os
    import sqlalchemy as sa
    from alembic import context
    import hotconfig.migrations  # op.watch_table

    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
    else:
        engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=sa.NullPool)
        with engine.connect() as connection:
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
"""
TABLES = """
    import sqlalchemy as sa
    from alembic import op

    revision, down_revision = "a1", None

    def upgrade():
        op.create_table("models", sa.Column("name", sa.Text, primary_key=True), sa.Column("calls", sa.Integer))
        op.execute('''
            CREATE FUNCTION talker_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
            SET search_path = public, pg_temp
            AS $$ SELECT jsonb_build_object('models', coalesce(jsonb_agg(name ORDER BY name), '[]')) FROM models $$
        ''')

    def downgrade():
        op.execute("DROP FUNCTION talker_document")
        op.drop_table("models")
"""
WATCHED = """
    from alembic import op

    revision, down_revision = "a2", "a1"

    def upgrade():
        op.watch_table("models", publishes="talker: 100%", function="talker_document", columns=["name"])
        op.execute("INSERT INTO models (name) VALUES ('small')")

    def downgrade():
        op.execute("DELETE FROM models")
        op.unwatch_table("models", publishes="talker: 100%")
"""
NAME = "talker: 100%"


@pytest.fixture
def application(tmp_path: Path, database: str) -> Config:
    """Its Alembic environment: the second revision makes the table of the first one hot."""
    (tmp_path / "versions").mkdir()
    for name, text in {"env.py": ENV, "versions/a1.py": TABLES, "versions/a2.py": WATCHED}.items():
        (tmp_path / name).write_text(dedent(text))
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "os")
    url = database.replace("postgresql://", "postgresql+psycopg://", 1)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def test_an_application_makes_its_table_hot(application: Config, connect: Connect, database: str) -> None:
    """Up publishes what the whole transaction left, down stops it; two alembic_versions live side by side."""
    editor = connect()
    alembic.command.upgrade(application, "head")
    assert document(editor, NAME) == {"models": ["small"]}
    editor.execute("INSERT INTO models VALUES ('large')")
    assert document(editor, NAME) == {"models": ["large", "small"]}
    before = version(editor)
    editor.execute("UPDATE models SET calls = 1")
    assert version(editor) == before
    assert value(editor, "SELECT version_num FROM alembic_version") == "a2"
    assert migrations.status(database).up_to_date

    alembic.command.downgrade(application, "a1")
    assert document(editor, NAME) == {"models": ["large", "small"]}
    editor.execute("INSERT INTO models VALUES ('huge')")
    assert version(editor) == before
    assert migrations.status(database).up_to_date


def test_hotconfig_in_a_schema_of_its_own(
    application: Config, connect: Connect, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOTCONFIG_SCHEMA says where the migrations find it."""
    migrations.upgrade(database, schema="conf")
    monkeypatch.setenv("HOTCONFIG_SCHEMA", "conf")

    alembic.command.upgrade(application, "head")

    names = connect().execute("SELECT name FROM conf.config_documents").fetchall()
    assert names == [(NAME,)]


def test_offline(application: Config, connect: Connect, psql: Psql, capsys: pytest.CaptureFixture[str]) -> None:
    """op.watch_table prints SQL that psql runs."""
    alembic.command.upgrade(application, "head", sql=True)
    psql(capsys.readouterr().out)

    assert document(connect(), NAME) == {"models": ["small"]}
