"""doctor: every finding, provoked for real, and mended by the command that it names."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from conftest import Connect, Psql
from diagnosing import found, wrong
from editing import Editor, eventually
from servers import Server

from hotconfig import Client, Snapshot, migrations
from hotconfig._doctor import WHY, findings
from hotconfig.errors import HotConfigError


def test_a_good_one(database: str) -> None:
    """Every check is ok, and says why it matters; only what is wrong has a remedy."""
    told = list(findings(database))
    assert [each.check for each in told] == list(WHY)
    assert {each.state for each in told} == {"ok"}
    assert all(each.why and each.text and not each.mend for each in told)


def test_another_schema(database: str, psql: Psql) -> None:
    """Commands name it."""
    migrations.upgrade(database, schema="Odd one")
    finding = found(database, "default", schema="Odd one")
    assert (finding.state, finding.mend) == ("failure", "hotconfig init --schema 'Odd one'")
    psql("SET search_path = 'Odd one'; ALTER TABLE config_mlflow DISABLE TRIGGER config_mark")
    finding = found(database, "triggers", schema="Odd one")
    psql(finding.mend)
    assert wrong(database, schema="Odd one") == {"default": "failure"}


def test_unreachable() -> None:
    """The one finding is the connection; no password is shown."""
    (finding,) = findings("postgresql://u:s3cret@127.0.0.1:1/x")
    assert (finding.check, finding.state) == ("connection", "failure")
    assert "s3cret" not in repr(finding)
    assert finding.mend.startswith("check that the server runs")


def test_a_wrong_password(server: Server) -> None:
    """It is said to be that."""
    (finding,) = findings(f"postgresql://postgres:s3cret@127.0.0.1:{server.port}/postgres")
    assert "password" in finding.text
    assert "s3cret" not in repr(finding)


def test_not_migrated(server: Server) -> None:
    """The checks end there."""
    *_, finding = findings(server.url("postgres"))
    assert (finding.check, finding.state) == ("migrated", "failure")
    assert finding.mend == "hotconfig migrate, then hotconfig init"


def test_revisions(database: str, psql: Psql) -> None:
    """An older one is to be migrated, a newer one wants a newer hotconfig; tables that are gone are named."""
    psql("DELETE FROM hotconfig_alembic_version")
    assert found(database, "migrated").mend == "hotconfig migrate"
    psql("INSERT INTO hotconfig_alembic_version VALUES ('9999')")
    assert (found(database, "migrated").state, wrong(database)) == ("warning", {"migrated": "warning"})
    psql("DROP TABLE config_mlflow CASCADE")
    assert "config_mlflow" in found(database, "migrated").text


def test_privileges(database: str, psql: Psql, role: str) -> None:
    """Who may not read is told the grant; who may only read is well."""
    url = psycopg.conninfo.make_conninfo(database, user=role)
    finding = found(url, "privileges")
    assert (finding.state, finding.mend) == ("failure", f"GRANT hotconfig_reader TO {role};")
    psql(finding.mend)
    assert found(url, "privileges").text == f"{role} reads, and may not edit"
    assert wrong(url) == {"documents": "warning"}
    psql(f"GRANT hotconfig_editor TO {role}")
    assert found(url, "privileges").text == f"{role} reads and edits"
    assert wrong(url) == {}


def test_an_empty_state(database: str, psql: Psql) -> None:
    """The row that orders the versions is gone."""
    psql("DELETE FROM config_state")
    assert "config_state is empty" in found(database, "privileges").text


@pytest.mark.parametrize(
    ("table", "trigger"),
    [
        ("config_dirty", "config_at_commit"),
        ("config_profiles", "config_keep_default"),
        ("config_prompts", "config_mark_update"),
        ("config_history", "config_history_append_only"),
    ],
)
@pytest.mark.parametrize("how", ["DISABLE", "ENABLE REPLICA"])
def test_a_disabled_trigger(database: str, psql: Psql, table: str, trigger: str, how: str) -> None:
    """It is named, and the remedy enables it."""
    psql(f"ALTER TABLE {table} {how} TRIGGER {trigger}")
    finding = found(database, "triggers")
    assert (finding.state, finding.text) == ("failure", f"{table}.{trigger} is disabled")
    psql(finding.mend)
    assert wrong(database) == {}


@pytest.mark.parametrize("table", ["config_profiles", "config_mlflow"])
def test_a_dropped_trigger(database: str, psql: Psql, table: str) -> None:
    """It is named, and the remedy makes it again."""
    psql(f"DROP TRIGGER config_mark_update ON {table}")
    finding = found(database, "triggers")
    assert finding.text == f"{table}.config_mark_update is missing"
    psql(finding.mend)
    assert wrong(database) == {}


def test_a_dropped_guard(database: str, psql: Psql) -> None:
    """The remedy says where its statement stands."""
    psql("DROP TRIGGER config_keep_default ON config_profiles")
    finding = found(database, "triggers")
    assert "CREATE TRIGGER config_keep_default " in finding.mend
    assert "CREATE TRIGGER config_keep_default " in migrations.script()


def test_session_replication_role(database: str, psql: Psql, role: str) -> None:
    """A role whose sessions fire no triggers is told how to."""
    psql(f"ALTER ROLE {role} SUPERUSER; ALTER ROLE {role} SET session_replication_role = replica")
    url = psycopg.conninfo.make_conninfo(database, user=role)
    finding = found(url, "triggers")
    assert finding.state == "failure"
    psql(finding.mend)
    assert wrong(url) == {}


@pytest.mark.parametrize(
    ("bypass", "documents"),
    [
        ("UPDATE config_ai_infra SET llm_temperature = 0.1", "active, profile/default"),
        ("INSERT INTO config_profiles (name) VALUES ('b')", "profile/b"),
        ("UPDATE config_profiles SET name = 'c'", "active, profile/c, profile/default"),
        ("UPDATE config_profiles SET is_default = false", "active, profile/default"),
    ],
)
def test_a_drifted_profile(database: str, psql: Psql, bypass: str, documents: str) -> None:
    """What was changed past the triggers is named, and published by the remedy."""
    psql(f"SET session_replication_role = replica; {bypass}")
    finding = found(database, "documents")
    assert (finding.state, finding.text) == ("failure", f"not as their tables: {documents}")
    psql(finding.mend)
    assert found(database, "documents").state == "ok"


def test_no_default_profile(database: str, psql: Psql) -> None:
    """It names init."""
    psql("UPDATE config_profiles SET is_default = false")
    finding = found(database, "default")
    assert (finding.state, finding.mend) == ("failure", "hotconfig init")


def test_an_invalid_default_profile(database: str, psql: Psql) -> None:
    """The path and its rule are named."""
    psql(
        "ALTER TABLE config_ai_infra DROP CONSTRAINT config_ai_infra_llm_temperature_range;"
        "UPDATE config_ai_infra SET llm_temperature = 1.5"
    )
    finding = found(database, "default")
    assert finding.state == "failure"
    assert "ai_infra.llm_temperature: Input should be less than or equal to 1" in finding.text
    assert "hotconfig rollback" in finding.mend


def test_the_profile_of_the_environment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOTCONFIG_PROFILE must name one."""
    monkeypatch.setenv("HOTCONFIG_PROFILE", "nobody")
    finding = found(database, "default")
    assert finding.state == "failure"
    assert "nobody" in finding.text


def test_an_incomplete_profile(database: str, psql: Psql) -> None:
    """It is a warning: nobody may follow it."""
    psql("INSERT INTO config_profiles (name) VALUES ('it''s')")
    finding = found(database, "profiles")
    assert finding.state == "warning"
    assert "prompts: Field required" in finding.text
    assert finding.mend.startswith("""hotconfig set --profile 'it'"'"'s' """)


class Strict(Snapshot):
    a: int


def test_a_process_that_rejects(database: str, editor: Editor) -> None:
    """A process whose code does not accept the newest document is named."""
    editor.publish("own", '{"a": 1}')
    with Client(database, model=Strict, document="own") as client:
        assert found(database, "processes").text == "1 connected"
        version = editor.publish("own", '{"a": "x"}')
        with pytest.raises(HotConfigError):
            client.wait_for(version)
        eventually(lambda: "!" in editor.registry()[0])
        finding = found(database, "processes")
    assert finding.state == "warning"
    assert "(own)" in finding.text
    assert "hotconfig diff --document own" in finding.mend  # and not rollback, which is for profiles


def test_a_standby(own_server: Server) -> None:
    """It is a warning that it is one; edits are for the primary."""
    url = own_server.create_database("app")
    (own_server.data / "standby.signal").touch()
    own_server.stop()
    own_server.start()
    assert wrong(url) == {"server": "warning", "notifications": "warning"}


def test_a_locked_table(database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot end says so, and the others go on."""
    monkeypatch.setattr("hotconfig._place.PATIENCE", "200ms")
    other = connect(autocommit=False)
    other.execute("LOCK TABLE config_documents")
    told = {each.check: each for each in findings(database)}
    assert "cannot be checked" in told["default"].text
    assert "look for what holds up" in told["default"].mend
    assert told["notifications"].state == "ok"


def test_a_pooler_in_transaction_mode(pooler: Callable[[str], str]) -> None:
    """It swallows notifications, which is the one warning."""
    url = pooler("transaction")
    assert wrong(url) == {"notifications": "warning"}
    assert "a connection pooler in transaction mode" in found(url, "notifications").text


def test_a_pooler_in_session_mode(pooler: Callable[[str], str]) -> None:
    """It is as good as none."""
    url = pooler("session")
    assert wrong(url) == {}
    assert "through a pooler in session mode" in found(url, "notifications").text
