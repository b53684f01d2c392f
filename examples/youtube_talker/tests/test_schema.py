"""The tables that the migrations make, column by column and index by index."""

from __future__ import annotations

import re

import psycopg
import pytest

COLUMNS = {
    "users": """
        id uuid default gen_random_uuid(), email varchar(255), password_hash varchar(255),
        created_at timestamptz default clock_timestamp(), updated_at timestamptz default clock_timestamp()""",
    "sessions": """
        id uuid default gen_random_uuid(), user_id uuid, token_hash varchar(255), expires_at timestamptz,
        created_at timestamptz default clock_timestamp()""",
    "conversations": """
        id uuid default gen_random_uuid(), user_id uuid, title varchar(500) null, created_at timestamptz default
        clock_timestamp(), updated_at timestamptz default clock_timestamp()""",
    "messages": """
        id uuid default gen_random_uuid(), conversation_id uuid, role varchar(50), content text, metadata jsonb default
        '{}'::jsonb, created_at timestamptz default clock_timestamp()""",
    "transcripts": """
        id uuid default gen_random_uuid(), user_id uuid, youtube_video_id varchar(50), title varchar(500),
        channel_name varchar(255), duration integer, transcript_text text, metadata jsonb default '{}'::jsonb,
        created_at timestamptz default clock_timestamp()""",
    "chunks": """
        id uuid default gen_random_uuid(), transcript_id uuid, user_id uuid, chunk_text text, chunk_index integer,
        token_count integer, metadata jsonb default '{}'::jsonb, created_at timestamptz default clock_timestamp()""",
    "templates": """
        id uuid default gen_random_uuid(), user_id uuid null, template_type varchar(50), template_name varchar(255),
        template_content text, variables jsonb default '[]'::jsonb, is_default boolean default false,
        created_at timestamptz default clock_timestamp(), updated_at timestamptz default clock_timestamp()""",
    "config": """
        key varchar(100), value jsonb, description text default ''::text,
        updated_at timestamptz default clock_timestamp()""",
}
INDEXES = {
    "users": {"unique btree (id)", "unique btree (email)"},
    "sessions": {"unique btree (id)", "btree (user_id)", "unique btree (token_hash)", "btree (expires_at)"},
    "conversations": {"unique btree (id)", "btree (user_id)", "btree (updated_at DESC)"},
    "messages": {"unique btree (id)", "btree (conversation_id)", "gin (metadata)", "btree (created_at)"},
    "transcripts": {"unique btree (id)", "btree (user_id)", "unique btree (youtube_video_id)", "gin (metadata)"},
    "chunks": {
        *{"unique btree (id)", "unique btree (transcript_id, chunk_index)", "btree (user_id)", "gin (metadata)"},
    },
    "templates": {
        "unique btree (id)",
        "unique btree (user_id, template_type, template_name)",
        "btree (template_type, is_default)",
        "unique btree (template_type) WHERE (is_default AND (user_id IS NULL))",
    },
    "config": {"unique btree (key)"},
}
REFERENCES = {
    *{("sessions", "user_id", "users"), ("conversations", "user_id", "users"), ("transcripts", "user_id", "users")},
    *{("chunks", "user_id", "users"), ("templates", "user_id", "users")},
    *{("messages", "conversation_id", "conversations"), ("chunks", "transcript_id", "transcripts")},
}


def ask(url: str, query: str, *values: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


@pytest.mark.parametrize("table", COLUMNS)
def test_columns(url: str, table: str) -> None:
    """Name, type, whether it may be null, default."""
    query = """
        SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '' ELSE ' null' END
               || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum
    """
    found = ", ".join(each for (each,) in ask(url, query, table))
    short = found.replace("character varying", "varchar").replace("timestamp with time zone", "timestamptz")
    assert short == " ".join(COLUMNS[table].split())


@pytest.mark.parametrize("table", INDEXES)
def test_indexes(url: str, table: str) -> None:
    """Those of the constraints too."""
    found = ask(url, "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass", table)
    short = [
        re.sub(r"CREATE (UNIQUE )?INDEX .* USING ", lambda m: "unique " if m[1] else "", each) for (each,) in found
    ]
    assert len(short) == len(INDEXES[table])
    assert set(short) == INDEXES[table]


def test_references(url: str) -> None:
    """Whatever belongs to a row goes with it."""
    query = """
        SELECT conrelid::regclass::text, attname, confrelid::regclass::text, confdeltype::text
        FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
        WHERE contype = 'f' AND conrelid = ANY (%s::regclass[])
    """
    tables = "{" + ",".join(COLUMNS) + "}"
    assert set(ask(url, query, tables)) == {(*each, "c") for each in REFERENCES}


def test_triggers(url: str) -> None:
    """Beside hotconfig's: updated_at is right whoever updates a row."""
    query = """
        SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger
        WHERE tgrelid = ANY (%s::regclass[]) AND NOT tgisinternal AND tgname NOT LIKE 'config_mark_%%'
    """
    updated = {(table, "set_updated_at") for table, columns in COLUMNS.items() if "updated_at" in columns}
    tables = "{" + ",".join(COLUMNS) + "}"
    assert set(ask(url, query, tables)) == updated | {("messages", "touch_conversation")}
