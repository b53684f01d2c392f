"""What runs with the rights of another, of hotconfig's owner or of whoever reads or edits, runs no attacker's code."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect
from psycopg.errors import InsufficientPrivilege
from security.attacking import attacker, watched
from sessions import document
from watching import TEMPLATES, templates

from hotconfig import Client
from hotconfig.admin import Admin

STOLEN = """
    CREATE TABLE his.stolen (who text);
    GRANT ALL ON his.stolen TO PUBLIC;
    CREATE FUNCTION his.evil() RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO his.stolen VALUES (current_user); RETURN 'forged'; END $$;
    GRANT EXECUTE ON FUNCTION his.evil() TO PUBLIC;
"""
# In public, where on PostgreSQL 14 everybody may create functions; each fits its call better than PostgreSQL's own.
BETTER = [
    ("jsonb_build_object(text, bigint)", "jsonb", """'{"version": 1000}'"""),
    ("set_config(varchar, varchar, boolean)", "text", "''"),
    ("hashtextextended(varchar, integer)", "bigint", "1"),
    ("equal(varchar, varchar)", "boolean", "true"),
]


@pytest.mark.parametrize("path", ["public", "public, pg_temp, his", '"$user"', '"public, pg_temp"'])
def test_a_function_that_finds_temporary_tables(path: str, connect: Connect) -> None:
    """Temporary tables come first unless pg_temp is named last: such a function is refused, with a hint."""
    owner = connect()
    owner.execute(TEMPLATES)
    owner.execute(f"ALTER FUNCTION templates_document() SET search_path = {path}")
    with pytest.raises(InsufficientPrivilege, match="temporary table of any session") as refused:
        owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    assert "let it end with pg_temp" in str(refused.value.diag.message_hint)


def test_a_function_that_is_changed_later(connect: Connect, role: str) -> None:
    """The edit is refused, and the temporary view that would have run the attacker's code does not."""
    owner = connect()
    watched(owner)
    eve = attacker(connect, role)
    eve.execute(STOLEN)
    eve.execute("CREATE TEMPORARY VIEW templates AS SELECT 1 AS id, his.evil() AS text")
    eve.execute("GRANT SELECT ON pg_temp.templates TO PUBLIC")
    eve.execute("UPDATE public.templates SET text = 'honest'")
    assert templates(owner) == {"1": "honest"}
    owner.execute("ALTER FUNCTION templates_document() SET search_path = public")

    with pytest.raises(InsufficientPrivilege, match="temporary table of any session"):
        eve.execute("UPDATE public.templates SET text = 'again'")

    assert stolen(owner) == []


def test_a_table_of_somebody_else(connect: Connect, role: str) -> None:
    """Its owner could put a policy or a view before its rows, which run with the function's owner's rights: refused."""
    owner = connect()
    owner.execute(TEMPLATES)
    eve = attacker(connect, role)
    owner.execute(f"ALTER TABLE templates OWNER TO {role}")
    with pytest.raises(
        InsufficientPrivilege, match=f"{role}, who owns public.templates, could run anything"
    ) as refused:
        owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    assert f"OWNER TO {role}" in str(refused.value.diag.message_hint)

    owner.execute(f"ALTER FUNCTION templates_document() OWNER TO {role}")
    owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    eve.execute("UPDATE templates SET text = 'mine'")
    assert templates(owner) == {"1": "mine"}


@pytest.mark.parametrize(
    "trap",
    [
        "ALTER TABLE templates ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON templates USING (his.evil() <> '')",
        """ALTER TABLE templates RENAME TO hidden; CREATE VIEW templates AS SELECT id, his.evil() AS text FROM hidden;
            GRANT SELECT ON templates TO PUBLIC""",
    ],
    ids=["policy", "view"],
)
def test_a_table_that_is_given_away(trap: str, connect: Connect, role: str) -> None:
    """Edits are refused from then on, and nothing of the new owner's runs with the old one's rights."""
    owner = connect()
    watched(owner)
    eve = attacker(connect, role)
    owner.execute(f"GRANT CREATE ON SCHEMA public TO {role}; ALTER TABLE templates OWNER TO {role}")
    eve.execute(STOLEN)
    eve.execute(trap)
    table = "hidden" if "hidden" in trap else "templates"

    with pytest.raises(InsufficientPrivilege, match="could run anything"):
        owner.execute(f"UPDATE {table} SET used = used + 1, text = 'x'")

    # The update itself meets the policy, as the one who updates: no definer's rights.
    assert set(stolen(owner)) <= {"postgres"} or table == "hidden"
    assert document(owner, "own") == {"templates": {"1": "one"}}


def test_better_matches_in_public(connect: Connect, role: str, database: str) -> None:
    """Readers and Admin call PostgreSQL's own functions and operators, also where everybody may create others."""
    owner = connect()
    eve = attacker(connect, role)
    owner.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    eve.execute(STOLEN)
    for signature, returns, value in BETTER:
        eve.execute(f"""
            CREATE FUNCTION public.{signature} RETURNS {returns} LANGUAGE plpgsql AS
            $$ BEGIN PERFORM his.evil(); RETURN {value}; END $$
        """)
    eve.execute("CREATE OPERATOR public.= (FUNCTION = public.equal, LEFTARG = varchar, RIGHTARG = varchar)")
    assert captured(owner), "they would be taken"
    owner.execute("TRUNCATE his.stolen")

    with Admin(database) as admin, Client(database) as client:
        admin.init()
        admin.create_profile("new")
        admin.activate("new")
        version = admin.update(None, {"ai_infra.llm_max_tokens": 7}).version
        assert client.wait_for(version).ai_infra.llm_max_tokens == 7
        admin.rollback(None)
        admin.history(document="profile/new", actor="postgres", path="ai_infra.llm_max_tokens")
        admin.delete_profile("default")
        assert [profile.name for profile in admin.profiles()] == ["new"]

    assert stolen(owner) == []


def captured(owner: psycopg.Connection) -> bool:
    owner.execute("SELECT set_config('a.b'::varchar, ''::varchar, true), 'a'::varchar = 'b'::varchar")
    return len(stolen(owner)) == 2


def stolen(owner: psycopg.Connection) -> list[str]:
    """Whose rights the attacker has had."""
    return [row[0] for row in owner.execute("SELECT who FROM his.stolen")]
