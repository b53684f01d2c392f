"""What the tests of attacks share: somebody who logs in with a schema of his own, and what he must not change."""

from __future__ import annotations

import psycopg
from catalog import catalog
from conftest import Connect
from psycopg.sql import SQL, Identifier
from watching import TEMPLATES

MECHANISM = ["config_history", "config_state", "config_documents", "config_dirty", "config_sources"]
SETTINGS = ["config_profiles", "config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts"]
# What catalog() does not tell.
MEMBERS = """
    SELECT 'member', roleid::regrole, member::regrole FROM pg_auth_members WHERE roleid::regrole::text ~ '^hotconfig'
    ORDER BY 2, 3
"""
TABLES = """
    SELECT relname, relrowsecurity, relhasrules, relhassubclass FROM pg_class
    WHERE relnamespace = 'public'::regnamespace ORDER BY relname
"""
SEQUENCE = "SELECT 'sequence', last_value, is_called FROM config_history_id_seq"


def attacker(connect: Connect, role: str, member_of: str | None = "hotconfig_editor") -> psycopg.Connection:
    """A session of a role with all that a careless administrator gives: the schema `his`, and temporary tables."""
    owner = connect()
    if member_of is not None:
        owner.execute(SQL("GRANT {} TO {}").format(Identifier(member_of), Identifier(role)))
    owner.execute(SQL("CREATE SCHEMA his AUTHORIZATION {}").format(Identifier(role)))
    owner.execute("GRANT USAGE ON SCHEMA his TO PUBLIC")
    return connect(user=role)


def watched(owner: psycopg.Connection) -> None:
    """A document of one's own, `own`, whose table editors may write."""
    owner.execute(TEMPLATES + "SELECT config_watch('templates', 'own', 'templates_document()');")
    owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON templates TO hotconfig_editor")


def standing(session: psycopg.Connection) -> list[str]:
    """All that the database holds of hotconfig: rows, definitions, privileges and members of its roles."""
    rows = [
        f"{table} {row}"
        for table in MECHANISM + SETTINGS
        for row in session.execute(SQL("SELECT * FROM {} ORDER BY 1, 2").format(Identifier(table)))
    ]
    others = [str(row) for query in (MEMBERS, TABLES, SEQUENCE) for row in session.execute(query)]
    return rows + others + catalog(session)
