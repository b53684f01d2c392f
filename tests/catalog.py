"""What a schema holds, as PostgreSQL's catalogs tell it: for comparing one with another."""

from __future__ import annotations

import psycopg
from psycopg.sql import Identifier, Literal

from hotconfig import conninfo

TABLES = """
    SELECT 'table ' || c.relname, c.relkind::text, c.relpersistence::text, pg_get_userbyid(c.relowner), acl.list
    FROM pg_class c, LATERAL (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a) AS acl (list)
    WHERE c.relnamespace = %(schema)s::regnamespace
"""
COLUMNS = """
    SELECT 'column ' || c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.attidentity::text, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'c') AND a.attnum > 0 AND NOT a.attisdropped
"""
CONSTRAINTS = """
    SELECT 'constraint ' || c.relname || '.' || t.conname, pg_get_constraintdef(t.oid), t.condeferrable, t.condeferred
    FROM pg_constraint t JOIN pg_class c ON c.oid = t.conrelid WHERE t.connamespace = %(schema)s::regnamespace
"""
INDEXES = """
    SELECT 'index ' || c.relname, pg_get_indexdef(c.oid) FROM pg_class c
    WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'i'
"""
TRIGGERS = """
    SELECT 'trigger ' || c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal
"""
FUNCTIONS = """
    SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner), acl.list
    FROM pg_proc p, LATERAL (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(p.proacl) a) AS acl (list)
    WHERE p.pronamespace = %(schema)s::regnamespace
"""
TYPES = """
    SELECT 'type ' || typname, pg_get_userbyid(typowner) FROM pg_type
    WHERE typnamespace = %(schema)s::regnamespace AND typcategory <> 'A'
"""
ROLES = "SELECT 'role ' || rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname LIKE 'hotconfig%%'"

EVERYTHING = (TABLES, COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS, FUNCTIONS, TYPES, ROLES)


def catalog(connection: psycopg.Connection, schema: str = "public", parts: tuple[str, ...] = EVERYTHING) -> list[str]:
    """One line for each thing; the schema's name is `@` wherever it stands."""
    quoted = Identifier(schema).as_string()
    channel = conninfo.channel(schema)
    names = {
        **dict.fromkeys((Literal(channel).as_string(), plain(channel)), "@channel"),
        **dict.fromkeys((Literal(schema).as_string(), plain(schema)), "@schema"),
        **dict.fromkeys((f"{quoted}.", f"{schema}."), "@."),
    }
    lines = []
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")  # so that every name is qualified
        for part in parts:
            for row in connection.execute(part, {"schema": quoted}):
                line = " | ".join(map(str, row))
                for name, sign in names.items():
                    line = line.replace(name, sign)
                lines.append(line)
    assert len(lines) > len(parts)
    return sorted(lines)


def plain(text: str) -> str:
    """As PostgreSQL prints a string: without E, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"
