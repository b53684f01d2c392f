"""The story: somebody types SQL, and a running process has the new configuration.

The first file to read. The editor is the real psql, the reader a real process of its own or a client in this one. It
reads PostgreSQL, or NATS, where a relay has put it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from queue import Queue

import pytest
from conftest import Psql
from feeds import Where
from programs import started

import hotconfig
from hotconfig import Change, Client, ProfileConfig


@pytest.fixture
def client(where: Where) -> Iterator[Client]:
    with Client(where.url) as client:
        yield client


@pytest.fixture
def changes(client: Client) -> Queue[Change[ProfileConfig]]:
    """What a subscriber was told, in order."""
    told: Queue[Change[ProfileConfig]] = Queue()
    client.subscribe(told.put)
    return told


def version(psql: Psql) -> int:
    return int(psql("SELECT version FROM config_state"))


READER = """
import sys
import hotconfig
from hotconfig import Change

def told(change: Change) -> None:
    print(change.old.ai_infra.llm_temperature, change.new.ai_infra.llm_temperature, *change.paths, flush=True)

hotconfig.subscribe(told)
print(hotconfig.current().ai_infra.llm_temperature, flush=True)
for line in sys.stdin:
    print(hotconfig.current().ai_infra.llm_temperature, flush=True)
"""


def test_another_process_sees_the_edit(where: Where, psql: Psql) -> None:
    """A process that read once is told of an UPDATE typed into psql, and reads the new value from then on."""
    with started(
        [sys.executable, "-c", READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOTCONFIG_DATABASE_URL": where.url},
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "0.7\n"

        psql("UPDATE config_ai_infra SET llm_temperature = 0.2")

        assert reader.stdout.readline() == "0.7 0.2 ai_infra.llm_temperature\n"
        reader.stdin.write("again\n")
        reader.stdin.close()
        assert reader.stdout.read() == "0.2\n"
    assert reader.returncode == 0


def test_one_edit_is_one_change(client: Client, changes: Queue[Change[ProfileConfig]], psql: Psql) -> None:
    """The subscriber gets one Change with what was and what is; the snapshot carries the version."""
    before = client.current()

    psql("UPDATE config_ai_infra SET llm_temperature = 0.2")

    change = changes.get(timeout=10)
    assert change.old is before
    assert change.new is client.current()
    assert change.paths == ("ai_infra.llm_temperature",)
    assert change.new.ai_infra.llm_temperature == 0.2
    assert change.new.version == version(psql) == before.version + 1
    assert changes.empty()


def test_one_transaction_is_one_version(client: Client, changes: Queue[Change[ProfileConfig]], psql: Psql) -> None:
    """Two tables that change in one transaction arrive together."""
    psql(
        "BEGIN; UPDATE config_ai_infra SET llm_max_tokens = 10; UPDATE config_mlflow SET experiment_name = '/x'; COMMIT"
    )

    change = changes.get(timeout=10)
    assert change.paths == ("ai_infra.llm_max_tokens", "mlflow.experiment_name")
    assert change.new.version == change.old.version + 1


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN; UPDATE config_ai_infra SET llm_temperature = 0.2; ROLLBACK",
        "BEGIN; SAVEPOINT s; UPDATE config_ai_infra SET llm_temperature = 0.2; ROLLBACK TO s; COMMIT",
        "UPDATE config_ai_infra SET llm_temperature = llm_temperature",
        """
        BEGIN;
        UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens + 1;
        UPDATE config_ai_infra SET llm_max_tokens = llm_max_tokens - 1;
        COMMIT
        """,
        "UPDATE config_ai_infra SET llm_temperature = 0.2 WHERE false",
    ],
)
def test_nothing_changed_arrives_as_nothing(
    client: Client, changes: Queue[Change[ProfileConfig]], psql: Psql, sql: str
) -> None:
    """What is rolled back, undone or the same makes no version and tells nobody."""
    before = version(psql)

    psql(sql)

    assert version(psql) == before
    psql("UPDATE config_mlflow SET experiment_name = '/next'")  # what comes next is the first that is told
    assert changes.get(timeout=10).paths == ("mlflow.experiment_name",)


def test_everybody_follows_the_default_profile(
    client: Client, changes: Queue[Change[ProfileConfig]], psql: Psql, where: Where
) -> None:
    """One UPDATE makes another profile the default one, live; who follows a profile by name stays with it."""
    with Client(where.url, profile="default") as faithful:
        psql("""
            BEGIN;
            INSERT INTO config_profiles (name) VALUES ('x');
            INSERT INTO config_ai_infra (profile_id, llm_endpoint, llm_temperature, llm_max_tokens)
            SELECT id, 'other', 0.1, 5 FROM config_profiles WHERE name = 'x';
            INSERT INTO config_genie_spaces (profile_id, space_id, space_name)
            SELECT id, 's', 'S' FROM config_profiles WHERE name = 'x';
            INSERT INTO config_mlflow (profile_id, experiment_name)
            SELECT id, '/x' FROM config_profiles WHERE name = 'x';
            INSERT INTO config_prompts (profile_id, system_prompt, slide_editing_instructions, user_prompt_template)
            SELECT id, 'p', 'e', '{question}' FROM config_profiles WHERE name = 'x';
            COMMIT;
            UPDATE config_profiles SET is_default = (name = 'x')
        """)

        change = changes.get(timeout=10)
        assert (change.old.profile.name, change.new.profile.name) == ("default", "x")
        assert client.current().ai_infra.llm_endpoint == "other"
        switched = faithful.wait_for(version(psql))
        assert (switched.profile.name, switched.profile.is_default) == ("default", False)


def test_truncate_and_copy_back_is_one_version(
    client: Client, changes: Queue[Change[ProfileConfig]], psql: Psql
) -> None:
    """A table may be emptied and filled again, if that happens in one transaction."""
    rows = psql("COPY config_ai_infra TO stdout")
    copied = rows.replace("0.70", "0.35")

    psql(f"BEGIN;\nTRUNCATE config_ai_infra;\nCOPY config_ai_infra FROM stdin;\n{copied}\n\\.\nCOMMIT;")

    change = changes.get(timeout=10)
    assert change.paths == ("ai_infra.llm_temperature",)
    assert change.new.version == change.old.version + 1


def test_truncate_alone_is_refused(client: Client, psql: Psql) -> None:
    """The default profile cannot lose its settings: the refusal names what would be missing."""
    before = version(psql)

    refused = psql("TRUNCATE config_ai_infra, config_prompts", check=False)

    assert 'the default profile "default" would be left without its row in config_ai_infra, config_prompts' in refused
    assert version(psql) == before


def test_history_tells_who_and_what(client: Client, psql: Psql) -> None:
    """Each change leaves a row: who, what, the old and the new value, and the whole document."""
    psql("""
        BEGIN;
        SET LOCAL hotconfig.actor = 'alice';
        SET LOCAL hotconfig.note = 'calmer answers';
        UPDATE config_ai_infra SET llm_temperature = 0.2;
        COMMIT
    """)

    row = psql("""
        SELECT version, document, domain, action, changed_by, note, db_user, application_name, changes,
               snapshot = (SELECT document FROM config_documents WHERE name = 'active'), "timestamp" <= now()
        FROM config_history ORDER BY id DESC LIMIT 1
    """)
    assert row == (
        f"{version(psql)}|profile/default|ai_infra|update|alice|calmer answers|postgres|psql|"
        '{"llm_temperature": {"new": 0.20, "old": 0.70}}|t|t'
    )


def test_the_module_is_one_default_client(where: Where, psql: Psql) -> None:
    """`hotconfig.current()` and its kin are the methods of one client, here started by hand."""
    with hotconfig.start(where.url) as client:
        assert hotconfig.current() is client.current()
        psql("UPDATE config_ai_infra SET llm_temperature = 0.2")
        assert hotconfig.wait_for(version(psql)).ai_infra.llm_temperature == 0.2
        assert hotconfig.status().healthy
    assert hotconfig.status().state == "closed"
