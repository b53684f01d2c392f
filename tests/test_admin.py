"""Admin: where it connects, as whom, and what it says when it may not."""

from __future__ import annotations

import psycopg
import pytest
from conftest import Psql
from editing import Editor
from servers import PASSWORD, Server

from hotconfig import migrations
from hotconfig.admin import Admin
from hotconfig.errors import (
    NotMigrated,
    Unavailable,
)

TEMPERATURE = "ai_infra.llm_temperature"


@pytest.mark.parametrize("schema", ["elsewhere", 'My "odd" schema'])
def test_another_schema(database: str, psql: Psql, schema: str) -> None:
    """Two installations in one database know nothing of each other."""
    migrations.upgrade(database, schema=schema)
    with Admin(database, schema=schema) as there, Admin(database) as here:
        there.init()
        there.update(None, {TEMPERATURE: 0.2})
        there.rollback(None)
        there.update(None, {TEMPERATURE: 0.4}, expect_version=there.snapshot().version)
        assert there.snapshot().ai_infra.llm_temperature == 0.4
        assert here.snapshot().ai_infra.llm_temperature == 0.7
        assert len(there.history()) == 8


def test_a_reader_may_read(database: str, role: str, psql: Psql) -> None:
    """A member of hotconfig_reader reads everything; writing names the role that it lacks."""
    psql(f"GRANT hotconfig_reader TO {role}")
    with Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin:
        assert admin.profiles()[0].name == "default"
        assert admin.snapshot(version=admin.snapshot().version) == admin.snapshot()
        assert admin.history()
        with pytest.raises(Unavailable, match="GRANT hotconfig_editor TO"):
            admin.update(None, {TEMPERATURE: 0.2})


def test_an_editor_may_write(database: str, role: str, psql: Psql) -> None:
    """A member of hotconfig_editor does all that Admin does."""
    psql(f"GRANT hotconfig_editor TO {role}")
    with Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin:
        admin.init()
        admin.create_profile("b", copy_from="default")
        admin.update("b", {TEMPERATURE: 0.2}, expect_version=admin.snapshot("b").version)
        admin.activate("b")
        admin.delete_profile("default")
        admin.rollback("default")
        assert admin.history(limit=1)[0].actor == role


def test_nobody_may_nothing(database: str, role: str) -> None:
    """A role without privileges is told which one it needs."""
    with (
        Admin(psycopg.conninfo.make_conninfo(database, user=role)) as admin,
        pytest.raises(Unavailable, match="GRANT hotconfig_reader TO"),
    ):
        admin.snapshot()


def test_not_migrated(server: Server) -> None:
    """Reading and writing say what to run."""
    with Admin(server.url("postgres")) as admin:
        for call in (admin.snapshot, admin.history, admin.init, lambda: admin.delete_profile("x")):
            with pytest.raises(NotMigrated, match="hotconfig migrate"):
                call()


def test_unreachable() -> None:
    """The constructor does nothing; the first use says what is wrong, without the password."""
    with Admin("postgresql://u:secret@127.0.0.1:1/x") as admin, pytest.raises(Unavailable) as refused:
        admin.snapshot()
    assert "secret" not in str(refused.value)
    assert "check that the server runs" in str(refused.value)


def test_a_lost_connection_is_replaced(admin: Admin, editor: Editor) -> None:
    """What stood in the pool when the server ended it is not used again."""
    admin.snapshot()
    editor.run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'hotconfig-admin' AND datname = current_database()"
    )
    assert admin.snapshot().version > 0
    admin.close()
    assert admin.snapshot().version > 0


def test_the_password_is_asked_for_each_time(server: Server, database_name: str) -> None:
    """A callable is called for every connection, so that passwords may rotate."""
    asked = []

    def conninfo() -> str:
        asked.append(1)
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/{database_name}"

    with Admin(conninfo) as admin:
        admin.snapshot()
        admin.close()
        admin.snapshot()
    assert len(asked) == 2
