"""The eight tables, and the triggers that keep updated_at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("config", "users", "conversations", "sessions", "templates", "transcripts", "chunks", "messages")
UPDATED = ("config", "users", "conversations", "templates")

SET_UPDATED_AT = """
    CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.updated_at := clock_timestamp();
        RETURN NEW;
    END
    $$
"""
# Of the schema that the messages are in, whatever the search_path of whoever writes one.
TOUCH_CONVERSATION = """
    CREATE FUNCTION touch_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'UPDATE ' || quote_ident(TG_TABLE_SCHEMA) || '.conversations'
                ' SET updated_at = clock_timestamp() WHERE id = $1' USING NEW.conversation_id;
        RETURN NULL;
    END
    $$
"""


def upgrade() -> None:
    op.create_table(
        "config",
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("value", JSONB, nullable=False),
        sa.Column("description", sa.Text, server_default=sa.text("''"), nullable=False),
        at("updated_at"),
        sa.PrimaryKeyConstraint("key", name="pk_config"),
    )
    op.create_table(
        "users",
        key("id", server_default=sa.text("gen_random_uuid()")),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        at("created_at"),
        at("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.CheckConstraint(r"email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'", name=op.f("ck_users_email")),
    )
    op.create_table(
        "conversations",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("user_id"),
        sa.Column("title", sa.String(500)),
        at("created_at"),
        at("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        belongs_to("users", "conversations", "user_id"),
    )
    op.create_index("ix_conversations_user_id", "conversations", ["user_id"])
    op.create_index("ix_conversations_updated_at", "conversations", [sa.text("updated_at DESC")])
    op.create_table(
        "sessions",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("user_id"),
        sa.Column("token_hash", sa.String(255), nullable=False),
        at("expires_at", server_default=None),
        at("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        belongs_to("users", "sessions", "user_id"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "templates",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("user_id", nullable=True),
        sa.Column("template_type", sa.String(50), nullable=False),
        sa.Column("template_name", sa.String(255), nullable=False),
        sa.Column("template_content", sa.Text, nullable=False),
        sa.Column("variables", JSONB, server_default=sa.text("'[]'"), nullable=False),
        sa.Column("is_default", sa.Boolean, server_default=sa.text("false"), nullable=False),
        at("created_at"),
        at("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
        sa.UniqueConstraint(
            "user_id", "template_type", "template_name", name="uq_templates_user_id_template_type_template_name"
        ),
        sa.CheckConstraint(
            "template_type IN ('linkedin', 'twitter', 'blog', 'email')", name=op.f("ck_templates_template_type")
        ),
        belongs_to("users", "templates", "user_id"),
    )
    op.create_index("ix_templates_template_type_is_default", "templates", ["template_type", "is_default"])
    op.create_index(
        "uq_templates_default_template_type",
        "templates",
        ["template_type"],
        unique=True,
        postgresql_where=sa.text("is_default AND user_id IS NULL"),
    )
    op.create_table(
        "transcripts",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("user_id"),
        sa.Column("youtube_video_id", sa.String(50), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("channel_name", sa.String(255), nullable=False),
        sa.Column("duration", sa.Integer, nullable=False),
        sa.Column("transcript_text", sa.Text, nullable=False),
        metadata(),
        at("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_transcripts"),
        sa.UniqueConstraint("youtube_video_id", name="uq_transcripts_youtube_video_id"),
        belongs_to("users", "transcripts", "user_id"),
    )
    op.create_index("ix_transcripts_user_id", "transcripts", ["user_id"])
    op.create_index("ix_transcripts_metadata", "transcripts", ["metadata"], postgresql_using="gin")
    op.create_table(
        "chunks",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("transcript_id"),
        key("user_id"),
        sa.Column("chunk_text", sa.Text, nullable=False),
        sa.Column("chunk_index", sa.Integer, nullable=False),
        sa.Column("token_count", sa.Integer, nullable=False),
        metadata(),
        at("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_chunks"),
        sa.UniqueConstraint("transcript_id", "chunk_index", name="uq_chunks_transcript_id_chunk_index"),
        belongs_to("transcripts", "chunks", "transcript_id"),
        belongs_to("users", "chunks", "user_id"),
    )
    op.create_index("ix_chunks_user_id", "chunks", ["user_id"])
    op.create_index("ix_chunks_metadata", "chunks", ["metadata"], postgresql_using="gin")
    op.create_table(
        "messages",
        key("id", server_default=sa.text("gen_random_uuid()")),
        key("conversation_id"),
        sa.Column("role", sa.String(50), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        metadata(),
        at("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.CheckConstraint("role IN ('user', 'assistant', 'system')", name=op.f("ck_messages_role")),
        belongs_to("conversations", "messages", "conversation_id"),
    )
    op.create_index("ix_messages_conversation_id", "messages", ["conversation_id"])
    op.create_index("ix_messages_created_at", "messages", ["created_at"])
    op.create_index("ix_messages_metadata", "messages", ["metadata"], postgresql_using="gin")
    op.execute(SET_UPDATED_AT)
    op.execute(TOUCH_CONVERSATION)
    for table in UPDATED:
        op.execute(
            f"CREATE TRIGGER set_updated_at BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION set_updated_at()"
        )
    op.execute(
        "CREATE TRIGGER touch_conversation AFTER INSERT OR UPDATE ON messages FOR EACH ROW"
        " EXECUTE FUNCTION touch_conversation()"
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION touch_conversation(), set_updated_at()")


def key(name: str, *, nullable: bool = False, server_default: sa.TextClause | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid, server_default=server_default, nullable=nullable)


def at(name: str, *, server_default: str | None = "clock_timestamp()") -> sa.Column[object]:
    default = None if server_default is None else sa.text(server_default)
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=False)


def metadata() -> sa.Column[object]:
    return sa.Column("metadata", JSONB, server_default=sa.text("'{}'"), nullable=False)


def belongs_to(parent: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")
