"""Who migrates, and whose the tables are then: a superuser, a role that may create roles, one that may not."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from servers import TEMPLATE, Server, seed
from sessions import document, value, version
from watching import TEMPLATES, templates

from hotconfig import migrations
from hotconfig._shipped import render

ROLES = ["hotconfig_owner", "hotconfig_editor", "hotconfig_reader"]
OWNERS = """
    SELECT DISTINCT pg_get_userbyid(owner) FROM (
        SELECT relowner, relnamespace FROM pg_class UNION ALL SELECT proowner, pronamespace FROM pg_proc
        UNION ALL SELECT typowner, typnamespace FROM pg_type) AS o (owner, namespace)
    WHERE namespace = 'app'::regnamespace ORDER BY 1
"""

Login = Callable[[str], psycopg.Connection]


@pytest.fixture
def bare(own_server: Server) -> Server:
    """A server where hotconfig was never installed: without its roles."""
    own_server.drop_database(TEMPLATE)
    own_server.psql("postgres", f"DROP ROLE {', '.join(ROLES)}; CREATE ROLE editor LOGIN; CREATE DATABASE app")
    return own_server


@pytest.fixture
def login(bare: Server) -> Iterator[Login]:
    connections = []

    def login(role: str) -> psycopg.Connection:
        conninfo = psycopg.conninfo.make_conninfo(bare.url("app"), user=role)
        connections.append(psycopg.connect(conninfo, autocommit=True, options="-c search_path=app"))
        return connections[-1]

    yield login
    for connection in connections:
        connection.close()


def migrate(bare: Server, role: str) -> None:
    migrations.upgrade(psycopg.conninfo.make_conninfo(bare.url("app"), user=role), schema="app")


def owners(connection: psycopg.Connection) -> list[str]:
    return [owner for (owner,) in connection.execute(OWNERS)]


def test_a_migrator_who_may_create_roles(bare: Server, login: Login, caplog: pytest.LogCaptureFixture) -> None:
    """All belongs to hotconfig_owner; he is its member, as is whoever may migrate next."""
    bare.psql("app", "CREATE ROLE migrator LOGIN CREATEROLE; GRANT CREATE ON DATABASE app TO migrator")
    migrate(bare, "migrator")
    migrator = login("migrator")
    migrator.execute("GRANT hotconfig_editor TO editor")
    with migrator.transaction():
        seed(migrator)
    assert owners(migrator) == ["hotconfig_owner"]
    assert not [record for record in caplog.records if record.name == "hotconfig"]

    login("editor").execute("UPDATE config_mlflow SET experiment_name = '/y'")
    assert document(migrator)["mlflow"] == {"experiment_name": "/y"}
    migrator.execute("GRANT CREATE ON SCHEMA app TO migrator")
    migrator.execute(TEMPLATES.replace("search_path = public", "search_path = app"))
    migrator.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    migrator.execute("UPDATE templates SET text = 'x'")
    assert templates(migrator) == {"1": "x"}
    migrator.execute("SELECT config_unwatch('templates', 'own')")

    bare.psql("app", "CREATE ROLE another LOGIN; GRANT hotconfig_owner TO another")
    migrations.downgrade(psycopg.conninfo.make_conninfo(bare.url("app"), user="another"), schema="app")
    migrate(bare, "another")
    assert set(owners(migrator)) >= {"hotconfig_owner"}


@pytest.mark.parametrize("roles", ["absent", "present"])
def test_a_migrator_who_may_not(bare: Server, login: Login, roles: str, caplog: pytest.LogCaptureFixture) -> None:
    """All stays his and he is warned; edits, documents of his own and the way back work."""
    bare.psql("app", "CREATE ROLE migrator LOGIN; CREATE SCHEMA app AUTHORIZATION migrator")
    if roles == "present":
        for role in ROLES:
            bare.psql("app", f"CREATE ROLE {role}")
    with caplog.at_level(logging.WARNING, "hotconfig"):
        migrate(bare, "migrator")
    warned = [record.getMessage() for record in caplog.records if record.name == "hotconfig"]
    if roles == "absent":
        assert warned == [f"there is no role {role}, and migrator may not create it" for role in ROLES]
    else:
        assert len(warned) == 1
        assert warned[0].startswith("hotconfig's tables stay with migrator, since they could not be given to")
    migrator = login("migrator")
    assert owners(migrator) == ["migrator"]

    with migrator.transaction():
        seed(migrator)
    if roles == "present":
        bare.psql("app", "GRANT hotconfig_editor TO editor")
        login("editor").execute("UPDATE config_mlflow SET experiment_name = '/y'")
        assert document(migrator)["mlflow"] == {"experiment_name": "/y"}
    before = version(migrator)
    migrator.execute(TEMPLATES.replace("search_path = public", "search_path = app"))
    migrator.execute("SELECT config_watch('templates', 'own', 'templates_document()')")
    migrator.execute("UPDATE templates SET text = 'x'")
    assert version(migrator) == before + 2
    migrator.execute("SELECT config_unwatch('templates', 'own')")

    migrations.downgrade(psycopg.conninfo.make_conninfo(bare.url("app"), user="migrator"), schema="app")


def test_a_dump_on_another_server(bare: Server, server: Server, database_name: str) -> None:
    """With the roles first, as docs/howto/dump-and-restore.md has it, all comes back, and the next edit publishes."""
    roles = server.run("pg_dumpall", "--roles-only", "--dbname", server.url(database_name)).stdout
    ours = [line for line in roles.splitlines() if re.search(r"\bhotconfig_[a-z]*\b", line)]
    bare.psql("postgres", "\n".join(ours))

    bare.psql("app", server.run("pg_dump", "--dbname", server.url(database_name)).stdout)

    bare.psql("app", "UPDATE public.config_ai_infra SET llm_temperature = 0.3")
    assert bare.psql("app", "SELECT version FROM public.config_state") == "2"


def test_the_roles_are_made_later(bare: Server, login: Login) -> None:
    """A superuser runs roles_v1.sql again, and all is as if he had migrated."""
    bare.psql("app", "CREATE ROLE migrator LOGIN; CREATE SCHEMA app AUTHORIZATION migrator")
    migrate(bare, "migrator")

    bare.psql("app", render("roles_v1", "app"))

    assert owners(login("postgres")) == ["hotconfig_owner"]
    bare.psql("app", "GRANT hotconfig_editor TO editor")
    editor = login("editor")
    editor.execute("INSERT INTO config_profiles (name) VALUES ('x')")
    assert value(editor, "SELECT db_user FROM config_history") == "editor"
