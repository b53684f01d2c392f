"""doctor, of tables and documents of one's own: every finding, provoked for real, and mended by its command."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Connect, Psql
from diagnosing import found, wrong
from watching import TEMPLATES, watch


@pytest.mark.parametrize("columns", [None, ["text"]])
def test_a_watched_table_without_its_trigger(
    database: str, connect: Connect, psql: Psql, columns: list[str] | None
) -> None:
    """Tables of one's own are looked at too; the remedy watches them again, with the same columns."""
    owner = connect()
    owner.execute(TEMPLATES)
    watch(owner, columns=columns)
    assert wrong(database) == {}
    sources = psql("SELECT * FROM config_sources ORDER BY 1, 2, 3")
    trigger = psql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'templates'::regclass ORDER BY tgname LIMIT 1")
    for suffix in ("", "_update", "_truncate"):
        psql(f"DROP TRIGGER {trigger}{suffix} ON templates")
    finding = found(database, "triggers")
    assert f"templates.{trigger} is missing" in finding.text
    psql(finding.mend)
    assert wrong(database) == {}
    assert psql("SELECT * FROM config_sources ORDER BY 1, 2, 3") == sources


def test_a_drifted_document_of_your_own(database: str, connect: Connect, psql: Psql, role: str) -> None:
    """It is compared with what its function builds; where that is not possible it is said."""
    owner = connect()
    owner.execute(TEMPLATES)
    watch(owner)
    psql("SET session_replication_role = replica; UPDATE templates SET text = 'two'")
    finding = found(database, "documents")
    assert finding.text == "not as their tables: own"
    psql(finding.mend)
    assert found(database, "documents").state == "ok"
    psql(f"GRANT hotconfig_editor TO {role}; REVOKE EXECUTE ON FUNCTION templates_document FROM PUBLIC")
    finding = found(psycopg.conninfo.make_conninfo(database, user=role), "documents")
    assert finding.state == "warning"
    assert "cannot build own" in finding.text


def test_a_function_that_raises(database: str, connect: Connect, psql: Psql) -> None:
    """It is a failure, with its error and the way out, also beside a document that is behind its table."""
    owner = connect()
    owner.execute(TEMPLATES)
    watch(owner)
    psql("""
        CREATE TABLE partners (id int); GRANT SELECT ON partners TO hotconfig_owner;
        CREATE FUNCTION raises() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$ BEGIN IF EXISTS (SELECT FROM public.partners) THEN RETURN '{}'; END IF; RAISE 'no partner'; END $$;
        INSERT INTO partners VALUES (1);
        SELECT config_watch('partners', 'second', 'raises()');
        SET session_replication_role = replica; DELETE FROM partners; UPDATE templates SET text = 'two'
    """)
    finding = found(database, "documents")
    assert finding.state == "failure"
    assert "not as their tables: own;" in finding.text
    assert "second (no partner)" in finding.text
    assert "config_unwatch_document" in finding.mend
    psql("SELECT config_touch()")
    assert found(database, "documents").text.endswith("refused: second (no partner)")
    psql("SELECT config_unwatch_document('second')")
    assert found(database, "documents").text == "as their tables; made from none: second"


def test_a_watched_table_that_was_dropped(database: str, connect: Connect, psql: Psql) -> None:
    """It is named; the remedy forgets it, and lets the document's other tables be edited."""
    owner = connect()
    owner.execute(TEMPLATES)
    watch(owner)
    psql("CREATE TABLE more (id int); SELECT config_watch('more', 'own', 'templates_document()'); DROP TABLE more")
    finding = found(database, "triggers")
    assert finding.text == "more, which is watched for own, is gone"
    psql(finding.mend)
    assert wrong(database) == {}
    psql("DROP FUNCTION templates_document")
    finding = found(database, "triggers")
    assert finding.text == "public.templates_document(), which builds own, is gone"
    psql(finding.mend.partition(";")[0])
    psql("UPDATE templates SET text = 'two'")
    assert found(database, "documents").text == "as their tables; made from none: own"


def test_documents_of_ones_own_and_no_profile(database: str, psql: Psql) -> None:
    """Who has no profiles needs no default one."""
    psql("UPDATE config_profiles SET is_default = false; DELETE FROM config_profiles")
    assert found(database, "default").state == "failure"
    psql("SELECT config_publish('own', '{}')")
    assert found(database, "default").text == "no profiles, but documents of your own"
    assert wrong(database) == {}


def test_a_function_that_writes_is_not_let(database: str, connect: Connect, psql: Psql) -> None:
    """Doctor changes nothing, whatever a document's function does."""
    owner = connect()
    owner.execute("CREATE TABLE seen (n int); CREATE TABLE templates (id int)")
    owner.execute("""
        CREATE FUNCTION writes() RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ INSERT INTO seen VALUES (1); SELECT '{"a": 1}'::jsonb $$
    """)
    watch(owner, function="writes")
    before = psql("SELECT count(*) FROM seen")
    assert found(database, "documents").state == "warning"
    assert psql("SELECT count(*) FROM seen") == before
