"""Whoever may edit, read or only log in: what he tries changes nothing that is not his."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest
from conftest import Connect
from security.attacking import attacker, standing, watched

FORGED = "'{\"forged\": true}'"
ROW = (
    "INSERT INTO config_history (version, document, domain, action, changed_by, db_user, application_name, changes,"
    " snapshot, timestamp) VALUES (1, 'own', 'x', 'update', 'the boss', 'the boss', '', '{}', '{}', now())"
)
HISTORY = [
    ROW,
    "UPDATE config_history SET changed_by = 'the boss', db_user = 'the boss'",
    "DELETE FROM config_history",
    "WITH gone AS (DELETE FROM config_history RETURNING *) SELECT count(*) FROM gone",
    "MERGE INTO config_history h USING config_state s ON h.version = s.version WHEN MATCHED THEN DELETE",
    "TRUNCATE config_history",
    "SELECT setval('config_history_id_seq', 1000)",
    "CREATE TABLE his.child () INHERITS (config_history)",
    "ALTER TABLE config_history DISABLE TRIGGER config_history_append_only; DELETE FROM config_history",
]
VERSIONS = [
    "UPDATE config_state SET version = 99",
    "UPDATE config_state SET token = gen_random_uuid()",
    "DELETE FROM config_state",
    "TRUNCATE config_state, config_documents",
    f"INSERT INTO config_documents VALUES ('forged', 99, gen_random_uuid(), {FORGED})",
    f"UPDATE config_documents SET document = {FORGED} WHERE name = 'active'",
    "DELETE FROM config_documents",
    # What a child holds is read together with its parent.
    "CREATE TABLE his.child () INHERITS (config_documents)",
    "CREATE TEMPORARY TABLE child () INHERITS (config_state)",
    "CREATE TABLE his.child (LIKE config_documents INCLUDING ALL); ALTER TABLE his.child INHERIT config_documents",
]
MARKS = [
    f"INSERT INTO config_dirty VALUES (pg_current_xact_id(), 'document forged', {FORGED})",
    "INSERT INTO config_sources VALUES ('his', 'rows', 'forged', 'his.evil()')",
    "UPDATE config_sources SET function = 'his.evil()'",
    "DELETE FROM config_sources",
    f"SELECT config_publish('forged', {FORGED})",
    f"SELECT config_mark('document forged', {FORGED})",
    "SELECT config_mark('!', NULL)",
    "SELECT config_touch()",
    "SELECT config_unwatch('templates', 'own')",
    # A function that may not be called, called by something else.
    "DO $$ BEGIN PERFORM config_touch(); END $$",
    "CREATE VIEW his.view AS SELECT config_touch()::text; SELECT * FROM his.view",
    "CREATE TABLE his.rows (x text DEFAULT config_touch()::text); INSERT INTO his.rows DEFAULT VALUES",
    "CREATE FUNCTION his.f() RETURNS void SECURITY DEFINER BEGIN ATOMIC SELECT config_touch(); END; SELECT his.f()",
    (
        "CREATE OPERATOR his.!! (FUNCTION = config_publish, LEFTARG = text, RIGHTARG = jsonb);"
        f" SELECT 'forged' OPERATOR(his.!!) {FORGED}::jsonb"
    ),
    (
        "CREATE TABLE his.rows ();"
        " CREATE TRIGGER t AFTER INSERT ON his.rows EXECUTE FUNCTION config_mark_document('forged');"
        " ALTER TABLE his.rows ENABLE ALWAYS TRIGGER t; INSERT INTO his.rows DEFAULT VALUES"
    ),
]
GUARDS = [
    "ALTER TABLE config_mlflow DISABLE TRIGGER ALL",
    "ALTER TABLE config_dirty DISABLE TRIGGER config_at_commit",
    "ALTER TABLE config_history DISABLE TRIGGER USER",
    "DROP TRIGGER config_mark ON config_mlflow",
    "DROP TRIGGER config_history_append_only ON config_history",
    "CREATE TRIGGER a BEFORE DELETE ON config_mlflow EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON UPDATE TO config_mlflow DO INSTEAD NOTHING",
    "ALTER TABLE config_prompts ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE config_ai_infra DROP CONSTRAINT config_ai_infra_llm_temperature_range",
    "ALTER TABLE config_profiles ALTER created_by SET DEFAULT 'the boss'",
    "SET session_replication_role = replica; UPDATE config_mlflow SET experiment_name = '/silent'",
    "CREATE OR REPLACE FUNCTION config_stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION config_publish_marked() RESET ALL",
    "ALTER FUNCTION config_touch() RENAME TO touch",
    "DROP FUNCTION config_touch()",
    "ALTER TABLE config_state RENAME TO state",
    "ALTER TYPE config_change ADD ATTRIBUTE more text",
    "DROP SCHEMA public CASCADE",
    "CREATE FUNCTION public.config_mark(source text) RETURNS void LANGUAGE sql AS ''",
]
RIGHTS = [
    "GRANT hotconfig_owner TO CURRENT_USER",
    "GRANT ALL ON config_history TO CURRENT_USER",
    "GRANT EXECUTE ON FUNCTION config_touch() TO CURRENT_USER",
    "ALTER ROLE hotconfig_editor LOGIN",
    "ALTER TABLE config_history OWNER TO CURRENT_USER",
    "REASSIGN OWNED BY hotconfig_owner TO CURRENT_USER",
    "SET ROLE hotconfig_owner; UPDATE config_state SET version = 99",
    "SET SESSION AUTHORIZATION hotconfig_owner; UPDATE config_state SET version = 99",
]
ATTACKS = HISTORY + VERSIONS + MARKS + GUARDS + RIGHTS


@pytest.mark.parametrize("member_of", ["hotconfig_editor", "hotconfig_reader", None])
def test_no_attack_changes_anything(connect: Connect, role: str, member_of: str | None) -> None:
    """History, versions, documents, marks, guards and rights are as before, whatever the attacker was answered."""
    eve, owner = attacker(connect, role, member_of), connect()
    watched(owner)
    before = standing(owner)
    for attack in ATTACKS:
        # Some only warn: what counts is the effect.
        with suppress(psycopg.Error):
            eve.execute(attack)
        eve.execute("ROLLBACK")
        assert standing(owner) == before, attack


def test_the_attacks_are_real(connect: Connect, role: str) -> None:
    """Each would change something, if only one might: a superuser whose triggers are off may."""
    attacker(connect, role)
    owner = connect(autocommit=False)
    watched(owner)
    owner.commit()
    before = standing(owner)
    for attack in ATTACKS:
        owner.rollback()
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(attack)
        try:
            after = standing(owner)
        except psycopg.Error:  # so much that the question has no answer any more
            continue
        assert after != before, attack


def test_a_member_of_nothing_sees_nothing(connect: Connect, role: str) -> None:
    """He cannot even count the versions."""
    eve = attacker(connect, role, None)
    for table in ("config_state", "config_documents", "config_history", "config_prompts"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            eve.execute(f"SELECT count(*) FROM {table}")
