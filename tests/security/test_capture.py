"""Names of an attacker's own, wherever PostgreSQL may look for one: hotconfig's code finds none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from conftest import Connect
from psycopg.sql import SQL, Identifier
from security.attacking import MECHANISM, SETTINGS, attacker, watched
from sessions import document, value, version
from watching import TEMPLATES

from hotconfig._shipped import path

BODY = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured'; END $$"
# Every function of PostgreSQL whose name stands in sql/, for all types that PL/pgSQL can take.
FUNCTIONS = """
    SELECT quote_ident(proname), pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname = ANY (%s)
        AND NOT '"any"'::regtype = ANY (proargtypes)
"""
BETTER = [  # fits better than the one of PostgreSQL, which takes anything
    ("jsonb_build_object", "text, bigint", "jsonb"),
    ("jsonb_build_object", "text, text", "jsonb"),
    ("format", "text, text", "text"),
    ("substr", "varchar, integer", "text"),
    ("btrim", "varchar, text", "text"),
]
OPERATORS = """
    SELECT oprname, oprleft::regtype::text, oprright::regtype::text, oprresult::regtype::text FROM pg_operator
    WHERE oprname IN ('=', '<>', '*<>', '||', '->', '->>', '#>>', '?', '?&', '~~', '+')
        AND oprleft = ANY (%s::regtype[])
    UNION ALL VALUES ('=', 'varchar', 'varchar', 'boolean'), ('||', 'text', 'integer', 'text')
"""
TYPES = ["text", "jsonb", "int4", "int8", "bool", "xid8", "uuid", "oid", "name", "record", "timestamptz"]


def captures() -> Iterator[str]:
    """The name of each function that sql/ calls."""
    for file in path("sql").glob("*.sql"):
        yield from re.findall(r"\b(\w+)\(", file.read_text("utf-8"))


def lie_in_wait(eve: psycopg.Connection) -> int:
    """Make `eve` the owner of what hotconfig's code names without a schema, and put her names first; how many."""
    functions = eve.execute(FUNCTIONS, [sorted(set(captures()))]).fetchall() + BETTER
    operators = eve.execute(OPERATORS, [TYPES]).fetchall()
    for name, arguments, result in functions:
        eve.execute(f"CREATE FUNCTION his.{name}({arguments}) RETURNS {result} {BODY}")
    for number, (sign, left, right, result) in enumerate(operators):
        eve.execute(f"CREATE FUNCTION his.of_{number}({left}, {right}) RETURNS {result} {BODY}")
        eve.execute(f"CREATE OPERATOR his.{sign} (FUNCTION = his.of_{number}, LEFTARG = {left}, RIGHTARG = {right})")
    tables = [*MECHANISM, *SETTINGS, "templates", "pg_proc", "pg_trigger", "pg_class", "pg_namespace"]
    types = ["jsonb", "text", "regclass", "regtype", "uuid", "config_change"]  # a table is a type as well
    for name in tables + types:
        eve.execute(SQL("CREATE TEMPORARY TABLE {} (name text, version int, document text)").format(Identifier(name)))
    eve.execute("SET search_path = his, pg_temp, pg_catalog, public")
    return len(functions) + len(operators) + len(tables) + len(types)


# With operators by their full names: in her own statements it is hers that would be found.
EDITS = [
    "INSERT INTO public.config_profiles (name) VALUES ('other')",
    "INSERT INTO public.config_mlflow (profile_id, experiment_name) VALUES (2, '/other')",
    "UPDATE public.config_mlflow SET experiment_name = '/edited'",
    "UPDATE public.config_profiles SET name = 'another' WHERE id OPERATOR(pg_catalog.=) 2",
    "UPDATE public.config_profiles SET description = 'edited'",
    "DELETE FROM public.config_profiles WHERE id OPERATOR(pg_catalog.=) 2",
    "UPDATE public.templates SET text = 'edited'",
    "INSERT INTO public.templates VALUES (2, 'two')",
]


def test_no_name_is_captured(connect: Connect, role: str) -> None:
    """With hers before PostgreSQL's, each edit makes the same version, and the same document, as anybody's."""
    eve, owner = attacker(connect, role), connect()
    watched(owner)
    assert lie_in_wait(eve) > 100
    start = version(owner)
    for captured in ("SELECT now()", "SELECT 1 = 1", "SELECT substr('a', 1)"):
        with pytest.raises(psycopg.errors.RaiseException, match="captured"):
            eve.execute(captured)

    for edit in EDITS:
        before = version(owner)
        eve.execute("SELECT pg_catalog.set_config('hotconfig.expect_version', %s, false)", [expected(owner)])
        eve.execute(edit)
        assert version(owner) == before + 1, edit

    assert document(owner)["mlflow"] == {"experiment_name": "/edited"}
    assert document(owner)["profile"]["description"] == "edited"
    assert document(owner, "own") == {"templates": {"1": "edited", "2": "two"}}
    assert value(owner, "SELECT array_agg(DISTINCT db_user) FROM config_history WHERE version > %s", start) == [role]
    last = version(owner)
    owner.execute("SELECT config_touch()")
    assert version(owner) == last  # nothing differs from its tables


def expected(owner: psycopg.Connection) -> str:
    return str(
        value(owner, "SELECT jsonb_build_object('active', version)::text FROM config_documents WHERE name = 'active'")
    )


def test_her_code_never_runs_as_the_owner(connect: Connect, role: str) -> None:
    """A default, a CHECK, a cast and triggers of hers, before and at the commit, run with her rights and no others."""
    eve, owner = attacker(connect, role), connect()
    eve.execute("""
        CREATE TABLE his.who (who text DEFAULT current_user, what text);
        CREATE FUNCTION his.note(what text) RETURNS boolean LANGUAGE sql AS
            'INSERT INTO his.who (what) VALUES (what) RETURNING true';
        CREATE FUNCTION his.edit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM his.note(TG_ARGV[0]);
            UPDATE public.config_mlflow SET experiment_name = '/' || TG_ARGV[0];
            RETURN NULL;
        END $$;
        CREATE DOMAIN his.checked AS text CHECK (his.note('domain'));
        CREATE TYPE his.own AS (path text);
        CREATE FUNCTION his.as_text(his.own) RETURNS text LANGUAGE plpgsql AS
            $$ BEGIN PERFORM his.note('cast'); RETURN $1.path; END $$;
        CREATE CAST (his.own AS text) WITH FUNCTION his.as_text AS IMPLICIT;
        CREATE TABLE his.rows (x boolean DEFAULT his.note('default') CHECK (his.note('check')));
        CREATE TRIGGER now AFTER INSERT ON his.rows EXECUTE FUNCTION his.edit('now');
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON his.rows DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION his.edit('late');
        GRANT ALL ON his.who TO PUBLIC;
    """)
    before = version(owner)

    with eve.transaction():
        eve.execute("UPDATE config_mlflow SET experiment_name = '/x'::his.checked")
        eve.execute("UPDATE config_prompts SET system_prompt = ROW('y')::his.own")
        eve.execute("INSERT INTO his.rows DEFAULT VALUES")
        eve.execute("UPDATE config_profiles SET description = 'z'")
    eve.execute("DROP CAST (his.own AS text)")  # which belongs to nobody, so that DROP OWNED leaves it

    assert {*owner.execute("SELECT DISTINCT who, what FROM his.who")} == {
        (role, what) for what in ("domain", "cast", "default", "check", "now", "late")
    }
    assert (version(owner), document(owner)["mlflow"]) == (before + 1, {"experiment_name": "/late"})
    newest = "SELECT snapshot->'mlflow'->>'experiment_name' FROM config_history ORDER BY id DESC LIMIT 1"
    assert value(owner, newest) == "/late"


@pytest.mark.parametrize("search_path", ["''", "public, pg_temp"])
@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_document_is_built_from_its_tables(connect: Connect, role: str, search_path: str, kind: str) -> None:
    """Not from what somebody calls so for himself, if the function is written as the documentation has it."""
    owner, eve = connect(), attacker(connect, role)
    function = TEMPLATES.replace("search_path = public, pg_temp", f"search_path = {search_path}")
    owner.execute(
        function.replace("FROM templates", "FROM public.templates" if search_path == "''" else "FROM templates")
    )
    owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    owner.execute("GRANT UPDATE, SELECT ON templates TO hotconfig_editor")
    eve.execute(f"CREATE TEMPORARY {kind} templates AS SELECT 7 AS id, current_user::text AS text")
    eve.execute("GRANT SELECT ON pg_temp.templates TO PUBLIC")

    eve.execute("UPDATE public.templates SET text = 'edited'")

    assert document(owner, "own") == {"templates": {"1": "edited"}}
