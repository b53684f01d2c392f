"""Admin.fleet and wait_applied: who runs, and who has which version."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Connect
from editing import Editor, eventually
from psycopg import sql
from running import Start, reader, ready

from hotconfig import Client, HotConfigError, Snapshot, migrations
from hotconfig.admin import Admin, Member

__all__ = ["reader"]

HOST = socket.gethostname()[:20]


class Strict(Snapshot):
    n: int


def member(document: str, version: int, *, rejected: bool = False, behind: int = 0) -> Member:
    """Of this process."""
    return Member(HOST, os.getpid(), document, version, rejected, behind)


def applied(admin: Admin, version: int) -> None:
    """Wait until nobody is missing."""
    assert admin.wait_applied(version, timeout=20) == []


# ---- the fleet


def test_clients_are_members(database: str, admin: Admin, editor: Editor) -> None:
    """Each of a process, with what it follows and the newest version that it has seen; until it is closed."""
    editor.publish("talker", '{"n": 1}')
    assert admin.fleet() == []
    with Client(database), Client(database), Client(database, model=Strict, document="talker"):
        version = editor.temperature(0.1)
        applied(admin, version)
        assert admin.newest_version() == version
        assert admin.fleet() == [member("active", version), member("active", version), member("talker", version)]
    eventually(lambda: admin.fleet() == [])


def test_a_rejected_version(database: str, admin: Admin, editor: Editor) -> None:
    """It shows until its document is another one; versions of other documents change nothing of that."""
    editor.publish("talker", '{"n": 1}')
    with Client(database, model=Strict, document="talker", heartbeat=1000):
        bad = editor.publish("talker", '{"n": "one"}')
        eventually(lambda: admin.fleet() == [member("talker", bad, rejected=True)])
        assert admin.wait_applied(bad, timeout=0) == admin.fleet()
        other = editor.temperature(0.1)
        eventually(lambda: admin.fleet() == [member("talker", other, rejected=True)])
        applied(admin, editor.publish("talker", '{"n": 2}'))
        assert admin.fleet() == [member("talker", other + 1)]


def test_who_rejects_an_older_version(database: str, admin: Admin, editor: Editor) -> None:
    """There is nothing of this one that it would have to apply."""
    editor.publish("talker", '{"n": 1}')
    with Client(database, model=Strict, document="talker", heartbeat=1000):
        bad = editor.publish("talker", '{"n": "one"}')
        other = editor.temperature(0.1)
        applied(admin, other)
        assert admin.wait_applied(bad, timeout=0) == [member("talker", other, rejected=True)]


def test_whose_profile_went(database: str, admin: Admin) -> None:
    """It serves on with the last one, and is told apart, until there is one again."""
    admin.create_profile("b")
    with Client(database, profile="b", heartbeat=1000):
        renamed = admin.rename_profile("b", "c").version
        eventually(lambda: admin.fleet() == [member("profile/b", renamed, rejected=True)])
        assert admin.wait_applied(renamed, timeout=0) == admin.fleet()
        applied(admin, admin.rename_profile("c", "b").version)
        deleted = admin.delete_profile("b").version
        eventually(lambda: admin.fleet() == [member("profile/b", deleted, rejected=True)])


def test_a_killed_process(reader: Start, admin: Admin) -> None:
    """It is no member any more, though it could not say goodbye."""
    process = reader()
    ready(process)
    assert [each.pid for each in admin.fleet()] == [process.pid]
    process.kill()
    eventually(lambda: admin.fleet() == [])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("0:web.1:active", Member("web", 1, "active", 0, False, 0)),
        ("7!:web.1:profile/b", Member("web", 1, "profile/b", 7, True, 0)),
        ("7:a.b.1:a:b", Member("a.b", 1, "a:b", 7, False, 0)),
        ("7:web-1:active", Member("web-1", 0, "active", 7, False, 0)),
        ("7:.1:active", Member(".1", 0, "active", 7, False, 0)),
        ("7:web.one:", Member("web.one", 0, "", 7, False, 0)),
        (f"7:{'x' * 48}.123", Member(f"{'x' * 48}.12", 0, "", 7, False, 0)),
    ],
)
def test_entries(admin: Admin, connect: Connect, entry: str, expected: Member) -> None:
    """Whatever stands for host and process; a process id that may have been cut is none."""
    connect(application_name=f"hotconfig:{entry}")
    (found,) = admin.fleet()
    assert found.behind == admin.newest_version() - expected.version
    assert (found.host, found.pid, found.document) == (expected.host, expected.pid, expected.document)
    assert (found.version, found.rejected) == (expected.version, expected.rejected)


@pytest.mark.parametrize(
    "entry",
    [
        *["hotconfig", "hotconfig-admin", "hotconfig probe", "hotconfig:7:web.1:(history)", "hotconfig:x:y:z"],
        f"hotconfig:7:{'x' * 47}.1:(",  # the whole would be longer than 63 bytes
    ],
)
def test_who_is_no_member(admin: Admin, connect: Connect, entry: str) -> None:
    """Who writes, who probes, who follows the history, and whoever calls himself nearly so."""
    connect(application_name=entry)
    assert admin.fleet() == []


@pytest.mark.parametrize("instance", ["web:a.1", "Büro.1", "x" * 70])
def test_names_of_instances(
    database: str, admin: Admin, editor: Editor, monkeypatch: pytest.MonkeyPatch, instance: str
) -> None:
    """Anything may stand in HOTCONFIG_INSTANCE; a colon and what is not ASCII is replaced, the document may be cut."""
    monkeypatch.setenv("HOTCONFIG_INSTANCE", instance)
    with Client(database):
        applied(admin, editor.temperature(0.1))
        (found,) = admin.fleet()
    told = {"w": ("web-a", 1, "active"), "B": ("B?ro", 1, "active"), "x": ("x" * (52 - len(str(found.version))), 0, "")}
    assert (found.host, found.pid, found.document) == told[instance[0]]


@pytest.mark.parametrize("schema", ["team_b", 'Team: "Bü"', "s" * 53, "2024"])
def test_another_installation(database: str, editor: Editor, schema: str) -> None:
    """Each sees its own clients, and does not wait for those of the other."""
    migrations.upgrade(database, schema=schema)
    editor.run(sql.SQL("SELECT {}.config_publish('talker', '{{\"n\": 1}}')").format(sql.Identifier(schema)))
    with (
        Admin(database) as here,
        Admin(database, schema=schema) as there,
        Client(database),
        Client(database, model=Strict, document="talker", schema=schema),
    ):
        version = editor.temperature(0.1)
        applied(here, version)
        assert here.fleet() == [member("active", version)]
        applied(there, there.newest_version())
        (found,) = there.fleet()
        assert "talker".startswith(found.document)
        assert (found.version, found.behind) == (there.newest_version(), 0)


# ---- waiting


def test_nobody_to_wait_for(admin: Admin) -> None:
    """All of none have it."""
    assert admin.wait_applied(admin.newest_version(), timeout=0) == []


def test_a_version_of_the_future(admin: Admin) -> None:
    """Nobody can have it, and nobody waits for it."""
    newest = admin.newest_version()
    with pytest.raises(HotConfigError, match=f"no version {newest + 1} yet: the newest one is {newest}"):
        admin.wait_applied(newest + 1)


def test_who_comes_and_goes(admin: Admin, connect: Connect) -> None:
    """Who joins behind is waited for, who leaves is not, and who catches up is done."""
    newest = admin.newest_version()
    old = f"hotconfig:{newest - 1}:%s:active"
    first, second = connect(application_name=old % "a.1"), connect(application_name=old % "b.2")
    assert [each.host for each in admin.wait_applied(newest, timeout=0.2)] == ["a", "b"]
    assert admin.wait_applied(newest - 1, timeout=0) == []
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(admin.wait_applied, newest, timeout=30)
        third = connect(application_name=old % "c.3")
        second.close()
        first.execute("SELECT set_config('application_name', %s, false)", [f"hotconfig:{newest}:a.1:active"])
        eventually(lambda: len(admin.wait_applied(newest, timeout=0)) == 1)
        assert not waiting.done()
        third.close()
        assert waiting.result(30) == []


def test_who_has_seen_what_the_database_lost(admin: Admin, connect: Connect) -> None:
    """Ahead of the newest version is not at the newest version."""
    newest = admin.newest_version()
    connect(application_name=f"hotconfig:{newest + 2}:a.1:active")
    assert admin.wait_applied(newest, timeout=0) == [Member("a", 1, "active", newest + 2, False, -2)]


def test_a_document_whose_name_is_cut(admin: Admin, connect: Connect, editor: Editor) -> None:
    """Who rejects it has not applied a version of any document whose name begins so, nor is missing for others."""
    version = editor.publish("europe-" + "x" * 60, "{}")
    connect(application_name=f"hotconfig:{version + 1}!:a.1:europe-{'x' * 60}"[:63])
    other = editor.publish("europe", "{}")
    (found,) = admin.wait_applied(version, timeout=0)
    assert (found.document[:8], found.rejected) == ("europe-x", True)
    assert admin.wait_applied(other, timeout=0) == []
