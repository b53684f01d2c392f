"""Documents of one's own: what may be published, by whom, and what becomes of it."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from conftest import Connect
from psycopg import errors
from sessions import document, history, value, version
from watching import TEMPLATES, templates, watch

from hotconfig import migrations


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session with a table of templates, not watched yet, and the function that makes a document of it."""
    connection = connect()
    connection.execute(TEMPLATES)
    return connection


def test_a_document_is_published_directly(owner: psycopg.Connection) -> None:
    """config_publish makes a version at commit; the same again makes none; null withdraws it."""
    before = version(owner)
    owner.execute("SELECT config_publish('own', '{\"a\": 1}')")
    owner.execute("SELECT config_publish('own', '{\"a\": 1}')")
    assert version(owner) == before + 1
    assert document(owner, "own") == {"a": 1}

    owner.execute("SELECT config_publish('own', NULL)")
    assert document(owner, "own") is None
    assert history(owner) == [("own", "a", "delete")]
    owner.execute("SELECT config_publish('never there', NULL)")
    assert version(owner) == before + 2


def test_what_is_published_last_in_a_transaction_counts(owner: psycopg.Connection) -> None:
    """And what a savepoint takes back does not."""
    with owner.transaction():
        owner.execute("SELECT config_publish('own', '{\"a\": 1}')")
        owner.execute("SELECT config_publish('own', '{\"a\": 2}')")
        with owner.transaction(force_rollback=True):
            owner.execute("SELECT config_publish('own', '{\"a\": 3}')")

    assert document(owner, "own") == {"a": 2}
    assert history(owner, "snapshot") == [({"a": 2},)]


@pytest.mark.parametrize("name", ["active", "profile/x", "", " ", None])
def test_reserved_names(owner: psycopg.Connection, name: str | None) -> None:
    """hotconfig's own names, and blank ones, are refused."""
    with pytest.raises(errors.InvalidParameterValue, match="a document of your own cannot be called"):
        owner.execute("SELECT config_publish(%s, '{}')", [name])
    with pytest.raises(errors.InvalidParameterValue, match="a document of your own cannot be called"):
        owner.execute("SELECT config_watch('templates', %s, 'templates_document()')", [name])


@pytest.mark.parametrize(
    ("json", "message"),
    [
        ("[1]", "must be a JSON object, not array"),
        ("1", "must be a JSON object, not number"),
        ("null", "must be a JSON object, not null"),
        ('{"version": 1}', 'must not have the key "version"'),
    ],
)
def test_documents_that_are_refused(owner: psycopg.Connection, json: str, message: str) -> None:
    """Only an object is a document, and `version` is what hotconfig adds; from a function as well."""
    with pytest.raises(errors.CheckViolation, match=f'document "own" {message}'):
        owner.execute("SELECT config_publish('own', %s)", [json])

    owner.execute("CREATE TABLE documents (document jsonb)")
    owner.execute("INSERT INTO documents VALUES ('{}')")
    owner.execute("""
        CREATE FUNCTION stored() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS 'SELECT document FROM documents'
    """)
    watch(owner, "documents", function="stored")
    with pytest.raises(errors.CheckViolation, match=f'document "own" {message}'):
        owner.execute("UPDATE documents SET document = %s", [json])
    with pytest.raises(errors.CheckViolation, match="must be a JSON object, not NULL"):
        owner.execute("DELETE FROM documents")
    assert document(owner, "own") == {}


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("RAISE 'no partner'", "SELECT public.config_unwatch_document('own')"),
        ("RETURN 1 / 0", "SELECT public.config_unwatch_document('own')"),
        ("PERFORM FROM templates", "qualify its names"),
        ("RAISE 'no' USING ERRCODE = '42501'", "needs USAGE on its schema"),
    ],
)
def test_the_hint_of_a_function_that_raises(owner: psycopg.Connection, body: str, hint: str) -> None:
    """One that gives none gets the one that is of use, the way out at last."""
    owner.execute(
        "CREATE FUNCTION raises() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp AS $$ BEGIN {body}; END $$".encode()
    )
    with pytest.raises(psycopg.Error) as raised:
        owner.execute("SELECT config_watch('templates', 'own', 'raises()')")
    assert hint in (raised.value.diag.message_hint or "")


def test_a_function_that_raises(owner: psycopg.Connection) -> None:
    """The edit is refused with its error, the document's name and the function's."""
    owner.execute("""
        CREATE FUNCTION picky() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        BEGIN
            IF EXISTS (SELECT FROM templates WHERE text = '') THEN
                RAISE 'a template is empty' USING ERRCODE = 'HX001', HINT = 'Fill it.';
            END IF;
            RETURN '{}';
        END $$
    """)
    watch(owner, function="picky")
    before = version(owner)

    with pytest.raises(psycopg.Error) as refused:
        owner.execute("UPDATE templates SET text = ''")

    assert refused.value.sqlstate == "HX001"
    assert refused.value.diag.message_primary == 'document "own": public.picky(): a template is empty'
    assert refused.value.diag.message_hint == "Fill it."
    assert version(owner) == before
    assert value(owner, "SELECT text FROM templates") == "one"


def test_a_function_that_could_borrow_rights(owner: psycopg.Connection, role: str) -> None:
    """One that is neither SECURITY DEFINER nor hotconfig's owner's is refused, when watched and when called."""
    owner.execute(f"ALTER FUNCTION templates_document OWNER TO {role}")
    owner.execute(f"GRANT SELECT ON templates TO {role}, hotconfig_owner")
    watch(owner)
    owner.execute("ALTER FUNCTION templates_document SECURITY INVOKER")
    refusal = 'document "own": public.templates_document.*neither SECURITY DEFINER nor owned by hotconfig_owner'
    with pytest.raises(errors.InsufficientPrivilege, match=refusal):
        owner.execute("UPDATE templates SET text = 'x'")

    owner.execute("ALTER FUNCTION templates_document OWNER TO hotconfig_owner")
    owner.execute("UPDATE templates SET text = 'x'")
    assert templates(owner) == {"1": "x"}

    owner.execute(f"ALTER FUNCTION templates_document OWNER TO {role}")
    with pytest.raises(sa.exc.DBAPIError, match="neither SECURITY DEFINER"):
        watch(owner, publishes="other")
    owner.execute("DROP FUNCTION templates_document")
    with pytest.raises(errors.UndefinedFunction, match=r'document "own": .*does not exist'):
        owner.execute("UPDATE templates SET text = 'y'")


def test_a_function_in_a_schema_that_is_closed(owner: psycopg.Connection) -> None:
    """hotconfig's owner must be let in; the refusal names document and schema."""
    owner.execute("CREATE SCHEMA closed")
    owner.execute("ALTER FUNCTION templates_document SET SCHEMA closed")
    with pytest.raises(sa.exc.DBAPIError, match=r'document "own": .*permission denied for schema closed'):
        watch(owner, function="closed.templates_document")


def test_watching_what_was_published_directly(owner: psycopg.Connection) -> None:
    """In one transaction: what the tables say counts."""
    with owner.transaction():
        owner.execute("SELECT config_publish('own', '{\"templates\": 1}')")
        owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")

    assert templates(owner) == {"1": "one"}


def test_touching(owner: psycopg.Connection) -> None:
    """config_touch() builds every watched document, and leaves alone what was published directly."""
    watch(owner)
    owner.execute("SELECT config_publish('direct', '{\"a\": 1}')")
    owner.execute("ALTER TABLE templates ALTER text TYPE text USING upper(text)")  # no trigger sees that
    assert templates(owner) == {"1": "one"}

    owner.execute("SELECT config_touch()")

    assert templates(owner) == {"1": "ONE"}
    assert document(owner, "direct") == {"a": 1}


def test_two_installations_in_one_database(owner: psycopg.Connection, database: str) -> None:
    """Each has its versions, documents, history and channel; a table may be watched by both."""
    migrations.upgrade(database, schema="second")
    owner.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    owner.execute("SELECT second.config_watch('templates', 'own', 'templates_document()')")
    owner.execute("SELECT second.config_publish('only there', '{}')")
    owner.execute('LISTEN hotconfig; LISTEN "hotconfig:second"; LISTEN "last"')
    versions = "SELECT p.version, s.version FROM public.config_state p, second.config_state s"
    (first, second) = owner.execute(versions).fetchone() or (0, 0)

    owner.execute("UPDATE public.config_mlflow SET experiment_name = '/y'")
    owner.execute("INSERT INTO second.config_profiles (name) VALUES ('x')")
    owner.execute("UPDATE templates SET text = 'both'")

    assert owner.execute(versions).fetchone() == (first + 2, second + 2)
    assert not owner.execute("SELECT FROM config_documents WHERE name IN ('only there', 'profile/x')").fetchall()
    assert [(notify.channel, int(notify.payload)) for notify in owner.notifies(timeout=20, stop_after=4)] == [
        ("hotconfig", first + 1),
        ("hotconfig:second", second + 1),
        ("hotconfig", first + 2),
        ("hotconfig:second", second + 2),
    ]
