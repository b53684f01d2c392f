"""What hotconfig_editor and hotconfig_reader may do, and what they may not."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect
from psycopg.errors import InsufficientPrivilege
from sessions import add_profile, document, history, value, version

from hotconfig import Client, migrations

SETTINGS = ["config_profiles", "config_ai_infra", "config_genie_spaces", "config_mlflow", "config_prompts"]
PUBLISHED = ["config_documents", "config_state", "config_history"]
INTERNAL = ["config_dirty", "config_sources"]


@pytest.fixture
def editor(connect: Connect, role: str) -> psycopg.Connection:
    connect().execute(f"GRANT hotconfig_editor TO {role}")
    return connect(user=role)


@pytest.fixture
def reader(connect: Connect, role: str) -> psycopg.Connection:
    connect().execute(f"GRANT hotconfig_reader TO {role}")
    return connect(user=role)


def privileges(connection: psycopg.Connection, table: str) -> str:
    """The initials of what the session's role may do: Select, Insert, Update, Delete, Truncate, References, triGger."""
    names = {
        "S": "SELECT",
        "I": "INSERT",
        "U": "UPDATE",
        "D": "DELETE",
        "T": "TRUNCATE",
        "R": "REFERENCES",
        "G": "TRIGGER",
    }
    return "".join(
        i for i, name in names.items() if value(connection, "SELECT has_table_privilege(%s, %s)", table, name)
    )


def test_an_editor_edits(editor: psycopg.Connection) -> None:
    """Insert, update and delete in the five tables; the history says who logged in."""
    add_profile(editor, "x")
    editor.execute("UPDATE config_profiles SET is_default = (name = 'x')")
    editor.execute("UPDATE config_prompts SET system_prompt = 'y'")
    editor.execute("DELETE FROM config_profiles WHERE name = 'default'")

    assert document(editor)["prompts"]["system_prompt"] == "y"
    assert {*history(editor, "changed_by", "db_user")} == {(editor.info.user, editor.info.user)}


def test_an_editor_s_tables(editor: psycopg.Connection) -> None:
    """The five are written; what is published and what is watched is read; the marks are nobody's."""
    may = dict.fromkeys(SETTINGS, "SIUD") | dict.fromkeys(PUBLISHED, "S") | {"config_sources": "S", "config_dirty": ""}
    assert {table: privileges(editor, table) for table in may} == may


def test_a_reader_s_tables(reader: psycopg.Connection) -> None:
    """Only what is published, and only to read it."""
    may = dict.fromkeys(SETTINGS + INTERNAL, "") | dict.fromkeys(PUBLISHED, "S")
    assert {table: privileges(reader, table) for table in may} == may


def test_the_functions_are_nobody_s(connect: Connect) -> None:
    """No function of hotconfig can be called by an editor, a reader or anybody else."""
    roles = "unnest(ARRAY['hotconfig_editor', 'hotconfig_reader', 'public']) AS role"
    allowed = f"""
        SELECT role, p.oid::regprocedure::text FROM pg_proc p, {roles}
        WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(role, p.oid, 'EXECUTE')
    """
    assert value(connect(), "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") > 15
    assert connect().execute(allowed).fetchall() == []


FORBIDDEN = [
    "INSERT INTO config_documents VALUES ('active', 99, gen_random_uuid(), '{}')",
    "UPDATE config_state SET version = 99",
    "SELECT FROM config_state FOR UPDATE",
    "BEGIN; LOCK TABLE config_state IN SHARE MODE",
    "DELETE FROM config_history",
    "SELECT nextval('config_history_id_seq')",
    "ALTER TABLE config_mlflow DISABLE TRIGGER ALL",
    "ALTER TABLE config_dirty DISABLE TRIGGER ALL",
    "DROP TRIGGER config_mark ON config_mlflow",
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION postgres",
    "SET ROLE hotconfig_owner",
    "SELECT config_publish('own', '{}')",
    "SELECT config_mark('profiles', NULL)",
    "SELECT config_publish_marked()",
    "SELECT config_touch()",
    "SELECT config_history_prune(now())",
    "SELECT config_watch('config_mlflow', 'own', 'now()')",
    "TRUNCATE config_mlflow",
    "CREATE TRIGGER mine AFTER INSERT ON config_mlflow EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON UPDATE TO config_mlflow DO INSTEAD NOTHING",
    "CREATE TEMPORARY TABLE mine (id int REFERENCES config_profiles)",
    "CREATE TABLE mine ()",
]


def test_what_an_editor_may_not(editor: psycopg.Connection) -> None:
    """Write versions, documents or history, silence the triggers, call the internals, put things in the way."""
    for statement in FORBIDDEN:
        with pytest.raises((InsufficientPrivilege, psycopg.errors.InvalidTableDefinition)):
            editor.execute(statement)
        editor.execute("ROLLBACK")


def test_an_editor_s_function_on_a_table_of_his_own(connect: Connect, editor: psycopg.Connection) -> None:
    """He cannot hang hotconfig's trigger functions on a table of his, which would mark what he names."""
    connect().execute(f"CREATE SCHEMA his AUTHORIZATION {editor.info.user}")
    editor.execute("CREATE TABLE his.rows ()")
    with pytest.raises(InsufficientPrivilege, match="permission denied for function config_mark_document"):
        editor.execute("CREATE TRIGGER t AFTER INSERT ON his.rows EXECUTE FUNCTION config_mark_document('own')")


def test_an_editor_s_names_capture_nothing(connect: Connect, editor: psycopg.Connection) -> None:
    """Tables, functions and operators of his, first in his search_path, are not what the triggers use."""
    his = editor.info.user
    connect().execute(f"CREATE SCHEMA his AUTHORIZATION {his}")
    editor.execute("""
        CREATE TABLE his.stolen (what text);
        CREATE TEMPORARY TABLE config_dirty (txid xid8, source text, document jsonb);
        CREATE TEMPORARY TABLE config_profiles (LIKE public.config_profiles);
        CREATE TEMPORARY TABLE config_state (version bigint, token uuid);
        CREATE FUNCTION his.steal() RETURNS text LANGUAGE sql
        AS 'INSERT INTO his.stolen VALUES (current_user) RETURNING what';
        CREATE FUNCTION his.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT his.steal()';
        CREATE FUNCTION his.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT his.steal(); SELECT pg_catalog.now()';
        CREATE FUNCTION his.differ(record, record) RETURNS bool LANGUAGE plpgsql
        AS 'BEGIN PERFORM his.steal(); RETURN false; END';
        CREATE FUNCTION his.differ(jsonb, jsonb) RETURNS bool LANGUAGE sql AS 'SELECT his.steal() IS NULL';
        CREATE FUNCTION his.differ(text, text) RETURNS bool LANGUAGE sql AS 'SELECT his.steal() IS NULL';
        CREATE OPERATOR his.*<> (FUNCTION = his.differ, LEFTARG = record, RIGHTARG = record);
        CREATE OPERATOR his.= (FUNCTION = his.differ, LEFTARG = jsonb, RIGHTARG = jsonb);
        CREATE OPERATOR his.|| (FUNCTION = his.differ, LEFTARG = jsonb, RIGHTARG = jsonb);
        CREATE OPERATOR his.= (FUNCTION = his.differ, LEFTARG = text, RIGHTARG = text);
        GRANT USAGE ON SCHEMA his TO PUBLIC;
        GRANT INSERT, SELECT ON his.stolen TO PUBLIC;
        SET search_path = his, pg_temp, pg_catalog, public;
    """)
    owner = connect()
    before = version(owner)

    editor.execute("UPDATE public.config_mlflow SET experiment_name = '/y'")
    editor.execute("UPDATE public.config_profiles SET description = 'd'")

    assert version(owner) == before + 2
    assert document(owner)["mlflow"] == {"experiment_name": "/y"}
    assert history(owner, "db_user", "domain") == [(his, "profile")]
    assert value(owner, "SELECT count(*) FROM his.stolen") == 0


def test_an_editor_cannot_be_somebody_else(editor: psycopg.Connection) -> None:
    """He may name an actor, but db_user is who logged in."""
    editor.execute("SET hotconfig.actor = 'the boss'")
    editor.execute("SET session_authorization = DEFAULT")
    editor.execute("UPDATE config_mlflow SET experiment_name = '/y'")

    assert history(editor, "changed_by", "db_user") == [("the boss", editor.info.user)]


def test_a_reader_follows(connect: Connect, reader: psycopg.Connection) -> None:
    """A client of his starts, and is told of an edit."""
    with Client(reader.info.dsn) as client:
        assert client.current().ai_infra.llm_max_tokens == 60000
        connect().execute("UPDATE config_ai_infra SET llm_max_tokens = 5")
        assert client.wait_for(version(reader)).ai_infra.llm_max_tokens == 5


def test_a_role_without_grants_reads_nothing(connect: Connect, role: str) -> None:
    """Nothing is PUBLIC's."""
    stranger = connect(user=role)
    for table in (*SETTINGS, *PUBLISHED, *INTERNAL):
        assert privileges(stranger, table) == ""


def test_default_privileges_open_nothing(connect: Connect, role: str) -> None:
    """Some hosts grant all that is made to everybody who connects: not hotconfig's tables, sequences and functions."""
    owner = connect()
    for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {what} TO {role}")
    migrations.upgrade(owner.info.dsn, schema="app")
    owner.execute(f"GRANT USAGE ON SCHEMA app TO {role}")
    stranger = connect(user=role)
    open_tables = """
        SELECT relname FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relname LIKE 'config%'
        AND (relkind = 'r' AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
             OR relkind = 'S' AND has_sequence_privilege(oid, 'USAGE, SELECT, UPDATE'))
    """
    open_functions = """
        SELECT proname FROM pg_proc
        WHERE pronamespace = 'app'::regnamespace AND has_function_privilege(oid, 'EXECUTE')
    """
    assert stranger.execute(open_tables).fetchall() == []
    assert stranger.execute(open_functions).fetchall() == []


def test_a_document_function_cannot_borrow_the_owners_rights(connect: Connect) -> None:
    """One that sets the search_path in its body would have the rest of the publishing resolved in its own schema."""
    owner = connect()
    owner.execute("""
        CREATE SCHEMA evil;
        CREATE TABLE evil.stolen (by text);
        CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO evil.stolen VALUES (current_user); END $$;
        GRANT ALL ON SCHEMA evil TO PUBLIC;
        GRANT ALL ON evil.stolen TO PUBLIC;
        CREATE TABLE settings (value int);
        CREATE FUNCTION settings_document() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
        AS $$ SELECT '{"a": 1}'::jsonb $$;
        SELECT config_watch('settings', 'own', 'settings_document()');
    """)
    owner.execute("""
        CREATE OR REPLACE FUNCTION settings_document() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            PERFORM set_config('search_path', 'evil, pg_catalog', false);
            RETURN '{"a": 2}'::jsonb;
        END $$;
    """)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="it changed search_path"):
        owner.execute("INSERT INTO settings VALUES (1)")

    assert owner.execute("SELECT count(*) FROM evil.stolen").fetchone() == (0,)
    assert owner.execute("SHOW search_path").fetchone() == ('"$user", public',)
