"""doctor: what the verb prints, what --fix mends, and a model of one's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg
import pytest
from commands import out, refused, run
from conftest import Psql
from diagnosing import found, wrong
from editing import Editor

from hotconfig._doctor import WHY


def test_the_verb(database: str, psql: Psql) -> None:
    """A line for each check; why, and what to do, below what is wrong; exit code 1 if something is broken."""
    said = out("doctor", "--database", database)
    assert len(said.splitlines()) == len(WHY)
    assert all(line.startswith("ok ") for line in said.splitlines())
    psql("INSERT INTO config_profiles (name) VALUES ('b')")
    assert "warning profiles" in out("doctor", "--database", database)
    psql("UPDATE config_profiles SET is_default = false")
    done = run("doctor", "--database", database)
    assert done.exit_code == 1
    assert "why: a process that names no profile starts with the default one" in done.stdout
    assert "do:  hotconfig init" in done.stdout


def test_the_verb_s_json(database: str) -> None:
    """One object."""
    told = json.loads(out("doctor", "--database", database, "--json"))
    assert told["healthy"] is True
    assert [each["check"] for each in told["findings"]] == list(WHY)
    done = run("doctor", "--database", "postgresql://127.0.0.1:1/x", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["healthy"] is False


def test_fix(database: str, psql: Psql) -> None:
    """What is behind its tables is published, and the history says by whom; the exit code is as if it had been well."""
    psql("SET session_replication_role = replica; UPDATE config_ai_infra SET llm_temperature = 0.1")
    assert run("doctor", "--database", database).exit_code == 1
    told = out("doctor", "--fix", "--by", "alice", "--database", database)
    assert "published again, version" in told
    assert wrong(database) == {}
    assert (
        psql("SELECT DISTINCT changed_by, note FROM config_history ORDER BY 1 LIMIT 1")
        == "alice|hotconfig doctor --fix"
    )
    before = psql("SELECT version FROM config_state")
    assert "published again" not in out("doctor", "--fix", "--database", database)
    assert psql("SELECT version FROM config_state") == before


def test_what_a_fix_would_publish(database: str, psql: Psql) -> None:
    """A dry run shows it, and all is as broken as before; a note says why it was mended."""
    psql("SET session_replication_role = replica; UPDATE config_ai_infra SET llm_temperature = 0.1")
    before = psql("SELECT version FROM config_state")
    done = run("doctor", "--fix", "--dry-run", "--by", "alice", "--database", database)
    assert done.exit_code == 1
    assert (
        f"--fix would publish: Version {int(before) + 1} by alice: ai_infra.llm_temperature 0.7 -> 0.1" in done.stdout
    )
    assert psql("SELECT version FROM config_state") == before
    assert set(wrong(database)) == {"documents"}
    out("doctor", "--fix", "--note", "after the restore", "--database", database)
    assert psql("SELECT note FROM config_history ORDER BY id DESC LIMIT 1") == "after the restore"
    assert "are for --fix" in refused(2, "doctor", "--note", "x", "--database", database)


def test_fix_of_what_has_no_history(database: str, psql: Psql) -> None:
    """`active` alone is behind, as after a restore of half of the tables: it is no profile, and leaves no row."""
    psql(
        "SET session_replication_role = replica;"
        "UPDATE config_documents SET document = jsonb_set(document, '{ai_infra,llm_temperature}', '0.1')"
        " WHERE name = 'active'"
    )
    assert "published again, version" in out("doctor", "--fix", "--database", database)
    assert wrong(database) == {}


def test_fix_publishes_nothing_invalid(database: str, psql: Psql) -> None:
    """Processes serve on what is good; doctor says which rule the tables break."""
    psql(
        "ALTER TABLE config_ai_infra DROP CONSTRAINT config_ai_infra_llm_temperature_range;"
        "SET session_replication_role = replica; UPDATE config_ai_infra SET llm_temperature = 1.5"
    )
    before = psql("SELECT version FROM config_state")
    done = run("doctor", "--fix", "--database", database)
    assert done.exit_code == 1
    assert "ai_infra.llm_temperature: Input should be less than or equal to 1" in done.stdout
    assert psql("SELECT version FROM config_state") == before


def test_fix_needs_an_owner(database: str, psql: Psql, role: str) -> None:
    """Others are told so, and nothing else is mended."""
    psql(f"GRANT hotconfig_editor TO {role}")
    psql("SET session_replication_role = replica; UPDATE config_ai_infra SET llm_temperature = 0.1")
    done = run("doctor", "--fix", "--database", psycopg.conninfo.make_conninfo(database, user=role))
    assert done.exit_code == 1
    assert "GRANT hotconfig_owner" in done.stdout
    psql("SELECT config_touch(); ALTER TABLE config_mlflow DISABLE TRIGGER config_mark")
    assert run("doctor", "--fix", "--database", database).exit_code == 1
    assert "config_mark is disabled" in found(database, "triggers").text


def test_a_model_of_your_own(database: str, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published document is validated with it, as the fleet will; the exit code is for a pipeline."""
    (tmp_path / "talkers.py").write_text("import hotconfig\n\nclass Talker(hotconfig.Snapshot):\n    voice: str\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    where = ("--document", "talker", "--database", database)
    version = editor.publish("talker", '{"voice": "alto"}')
    said = out("doctor", "--model", "talkers:Talker", *where)
    assert said.splitlines()[-1].split(None, 2)[:2] == ["ok", "model"]
    assert said.endswith(f"talker at version {version} fits Talker\n")
    editor.publish("talker", '{"voice": 5}')
    done = run("doctor", "--model", "talkers:Talker", *where)
    assert done.exit_code == 1
    assert "voice: Input should be a valid string" in done.stdout
    done = run("doctor", "--model", "talkers:Talker", "--document", "other", "--database", database)
    assert (done.exit_code, "no document 'other'" in done.stdout) == (1, True)
    for model, told in (
        ("talkers:Singer", "no attribute 'Singer'"),
        ("singers:Singer", "No module named 'singers'"),
        ("talkers", "right is for example"),
        ("pathlib:Path", "is no subclass of hotconfig.Snapshot"),
    ):
        assert told in refused(2, "doctor", "--model", model, *where)
    assert "--document is for --model" in refused(2, "doctor", *where)
