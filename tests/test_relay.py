"""The relay: what PostgreSQL has is in the bucket, whatever happened to either."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import nats
import pytest
import servers
from bounds import HEARTBEAT
from conftest import Connect
from contents import found, wanted
from editing import FOREVER, Editor, eventually
from feeds import Relayed
from nats.js.errors import NotFoundError
from nats_servers import Nats
from relays import Running
from servers import TEMPLATE, Server

from hotconfig import Change, Client, Snapshot, Unavailable
from hotconfig._feed import member
from hotconfig._health import health
from hotconfig._nats_address import key_of
from hotconfig.admin import Admin


class Own(Snapshot):
    n: int


@pytest.fixture
def beating(database: str, database_name: str, nats_server: Nats) -> Iterator[Running]:
    """A relay whose heart beats, in this process, to a bucket that is called as the database."""
    relaying = Running(database, f"{nats_server.url}/{database_name}", HEARTBEAT)
    yield relaying
    relaying.stop()
    nats_server.delete(database_name)


def settled(relaying: Running, editor: Editor) -> None:
    """All is relayed that was committed before."""
    newest = editor.version()
    eventually(lambda: relaying.relay.relayed == newest)


def test_everything_is_relayed_at_the_start(bucket: Relayed, editor: Editor) -> None:
    """Every document with its version and token, whatever it is called; what is withdrawn as a tombstone."""
    assert bucket.url
    assert found(bucket.server, bucket.bucket) == wanted(editor)
    assert {key_of("active"), key_of("profile/default"), "state"} == set(found(bucket.server, bucket.bucket))


def test_documents_from_before_the_relay(database: str, editor: Editor, nats_server: Nats, database_name: str) -> None:
    """More than are read at a time; tombstones among them."""
    for n in range(60):
        editor.publish(f"own/{n}", f'{{"n": {n}}}')
    editor.publish("own/7", None)
    relaying = Running(database, f"{nats_server.url}/{database_name}", FOREVER)
    settled(relaying, editor)
    there = found(nats_server, database_name)
    relaying.stop()
    nats_server.delete(database_name)
    assert there == wanted(editor)
    assert len(there) == 63
    assert there[key_of("own/7")][2] is None


def test_a_name_that_is_too_long(bucket: Relayed, editor: Editor) -> None:
    """It cannot be read from NATS, which whoever follows it is told; and it holds nobody up."""
    names = "long" * 490, "ö" * 1000
    for name in names:
        editor.publish(name, '{"n": 1}')
    with Client(bucket.url, model=Own, document=names[0], heartbeat=FOREVER) as client:
        assert client.wait_for(editor.publish(names[0], '{"n": 2}')).n == 2
        right = wanted(editor)
        del right[key_of(names[1])]
        assert bucket.url
        assert found(bucket.server, bucket.bucket) == right
    with pytest.raises(Unavailable, match="too long for NATS"):
        Client(bucket.url, model=Own, document=names[1]).start()


def test_many_that_change_at_once(bucket: Relayed, editor: Editor) -> None:
    """More than a state can name: everybody looks, and finds that nothing is different, or what is."""
    with Client(bucket.url, heartbeat=FOREVER) as client:
        before = client.current()
        with editor.connection.transaction():
            for n in range(200):
                editor.run("SELECT config_publish(%s, '{}')", [f"{n}" * 20])
        assert client.wait_for(editor.version(), timeout=20) is before
        with editor.connection.transaction():
            for n in range(200):
                editor.run("SELECT config_publish(%s, '{\"n\": 1}')", [f"{n}" * 20])
            editor.temperature(0.1)
        assert client.wait_for(editor.version(), timeout=20).ai_infra.llm_temperature == 0.1
        assert bucket.url
        assert found(bucket.server, bucket.bucket) == wanted(editor)


def test_a_tombstone_is_one(bucket: Relayed, editor: Editor) -> None:
    """What is withdrawn keeps its place and version, so that whoever follows it is told, and comes back."""
    editor.publish("own", '{"n": 1}')
    with Client(bucket.url, model=Own, document="own", heartbeat=FOREVER) as client:
        gone = editor.publish("own", None)
        assert client.wait_for(gone).n == 1
        assert "no document 'own' is published" in str(client.status().error)
        assert bucket.url
        assert found(bucket.server, bucket.bucket)[key_of("own")][0::2] == (gone, None)
        assert client.wait_for(editor.publish("own", '{"n": 2}')).n == 2
        assert client.status().healthy


def test_a_row_that_is_gone_is_deleted(beating: Running, editor: Editor, nats_server: Nats, database_name: str) -> None:
    """What a restore has left out, which no notification names, is out of the bucket at a heartbeat; and may return."""
    editor.publish("own", '{"n": 1}')
    settled(beating, editor)
    with Client(str(beating.relay.address), model=Own, document="own", heartbeat=FOREVER) as client:
        editor.run("DELETE FROM config_documents WHERE name = 'own'")
        eventually(lambda: key_of("own") not in found(nats_server, database_name))
        assert found(nats_server, database_name) == wanted(editor)
        eventually(lambda: client.status().error)
        assert client.current().n == 1
        assert client.wait_for(editor.publish("own", '{"n": 2}')).n == 2


STRANGE = "something", "document.=FF", "document.=00"


async def replace(connection: nats.NATS, bucket: str) -> None:
    """Put something else under the keys of a document and of the state."""
    values = await connection.jetstream().key_value(bucket)
    await values.put(key_of("active"), b"{}")
    await values.put("state", b"")


async def forge(connection: nats.NATS, bucket: str) -> None:
    """Put another value with the headers of the right one: what is believed is the revision."""
    there = await connection.jsm().get_last_msg(f"KV_{bucket}", f"$KV.{bucket}.{key_of('active')}")
    headers = dict(there.headers or {}) | {"Hotconfig-Token": "forged"}
    del headers["Nats-Expected-Last-Subject-Sequence"]
    await connection.jetstream().publish(f"$KV.{bucket}.{key_of('active')}", b"{}", headers=headers)


async def delete_document(connection: nats.NATS, bucket: str, document: str) -> None:
    await (await connection.jetstream().key_value(bucket)).delete(key_of(document))


async def delete_key(connection: nats.NATS, bucket: str) -> None:
    await delete_document(connection, bucket, "active")


async def delete_state(connection: nats.NATS, bucket: str) -> None:
    await (await connection.jetstream().key_value(bucket)).delete("state")


async def purge(connection: nats.NATS, bucket: str) -> None:
    await connection.jsm().purge_stream(f"KV_{bucket}")


async def add(connection: nats.NATS, bucket: str) -> None:
    """Keys that no document has, and one that none can have."""
    for key in (key_of("forged"), *STRANGE):
        await connection.jetstream().publish(f"$KV.{bucket}.{key}", b"{}")


async def delete_bucket(connection: nats.NATS, bucket: str) -> None:
    await connection.jsm().delete_stream(f"KV_{bucket}")


Tamper = Callable[[nats.NATS, str], Awaitable[None]]


@pytest.mark.parametrize("tamper", [replace, forge, delete_key, delete_state, purge, add, delete_bucket])
def test_a_bucket_that_somebody_writes_to(
    tamper: Tamper, beating: Running, editor: Editor, nats_server: Nats, database_name: str
) -> None:
    """It is as PostgreSQL is again, at a heartbeat at the latest, without an edit; and edits arrive."""
    settled(beating, editor)
    right = wanted(editor)

    def is_right() -> bool:
        try:
            there = found(nats_server, database_name)
        except NotFoundError:
            return False
        return {key: there[key] for key in there if key not in STRANGE} == right

    assert is_right()
    nats_server.run(lambda connection: tamper(connection, database_name))

    eventually(is_right)
    with Client(str(beating.relay.address), heartbeat=FOREVER) as client:
        client.wait_for(editor.temperature(0.1), timeout=40)
        eventually(lambda: client.status().healthy)


def test_a_bucket_is_mended_though_edits_never_pause(
    beating: Running, editor: Editor, nats_server: Nats, database_name: str
) -> None:
    """Everything is compared after a heartbeat also if something was announced all the time."""
    editor.publish("own", '{"n": 1}')
    settled(beating, editor)
    key = key_of("own")
    right = found(nats_server, database_name)[key]
    nats_server.run(lambda connection: delete_document(connection, database_name, "own"))

    def is_right() -> bool:
        editor.tokens(random.randrange(1, 10**6))
        return found(nats_server, database_name).get(key) == right

    eventually(is_right)


def test_two_relays(database: str, bucket: Relayed, connect: Connect) -> None:
    """At once, beside four who edit: they converge on what PostgreSQL has, and no client goes back."""
    editors = [Editor(connect()) for _ in range(4)]
    told: list[Change] = []
    other = Running(database, bucket.to, FOREVER)
    with Client(bucket.url, heartbeat=FOREVER) as client, ThreadPoolExecutor(4) as pool:
        client.subscribe(told.append)
        for _ in pool.map(edit, editors):
            pass
        last = editors[0].tokens(7)
        assert client.wait_for(last, timeout=20).ai_infra.llm_max_tokens == 7
        settled(other, editors[0])
        assert bucket.url
        assert found(bucket.server, bucket.bucket) == wanted(editors[0])
        eventually(lambda: told[-1].new is client.current())
        assert (client.status().rewinds, client.status().reconnects) == (0, 0)
    other.stop()
    versions = [change.new.version for change in told]
    assert versions == sorted(set(versions))


def edit(editor: Editor) -> None:
    """Ten times, at random."""
    for _ in range(10):
        if random.random() < 0.5:
            editor.tokens(random.randint(1, 10**6))
        else:
            editor.publish(f"own/{random.randint(1, 3)}", random.choice((None, f'{{"n": {random.random()}}}')))


def test_a_step_back(beating: Running, editor: Editor, nats_server: Nats, database_name: str) -> None:
    """The database has lost versions: the bucket follows, and so do clients, once; what it no longer has is deleted."""
    editor.publish("own", '{"n": 1}')
    editor.temperature(0.5)
    settled(beating, editor)
    told: list[Change] = []
    with Client(str(beating.relay.address), heartbeat=FOREVER) as client:
        client.subscribe(told.append)
        editor.run("""
            WITH gone AS (DELETE FROM config_documents WHERE name = 'own'),
                next AS (UPDATE config_state SET version = version - 2, token = gen_random_uuid() RETURNING *)
            UPDATE config_documents d SET version = next.version, token = next.token,
                document = jsonb_set(document, '{ai_infra,llm_temperature}', '0.11') FROM next WHERE name <> 'own'
        """)
        client.wait_for(until=lambda c: c.ai_infra.llm_temperature == 0.11, timeout=20)
        settled(beating, editor)
        assert found(nats_server, database_name) == wanted(editor)
        assert client.wait_for(editor.temperature(0.6)).version == editor.version()
        eventually(lambda: told[-1].new is client.current())
        assert client.status().rewinds == 1
    assert [change.new.ai_infra.llm_temperature for change in told] == [0.11, 0.6]


# ---- what it says of itself


def test_its_place_in_the_fleet(beating: Running, admin: Admin, editor: Editor) -> None:
    """One session, which says what it has relayed: whoever waits for a version waits for the relay."""
    version = editor.temperature(0.1)
    assert admin.wait_applied(version, timeout=20) == []
    (relay,) = admin.fleet()
    assert (relay.document, relay.version, relay.behind, relay.rejected) == ("(relay)", version, 0, False)
    assert f"{relay.host}.{relay.pid}" == member()
    assert [name for name in editor.registry() if name.startswith("hotconfig:")] == [f"hotconfig:2:{member()}:(relay)"]


def test_its_health(beating: Running, editor: Editor, own_nats: Nats) -> None:
    """Well, once all is relayed; not before, nor when it cannot read, and how far behind it is then."""
    settled(beating, editor)
    eventually(lambda: health(beating.relay)["healthy"])
    said = health(beating.relay)
    assert (said["version"], said["relayed"], said["behind"], said["documents"]) == (1, 1, 0, 2)
    assert said["error"] is None

    editor.run("ALTER TABLE config_state RENAME TO config_state_")
    editor.terminate()
    eventually(lambda: health(beating.relay)["error"])
    assert not health(beating.relay)["healthy"]
    editor.run("ALTER TABLE config_state_ RENAME TO config_state")
    eventually(lambda: health(beating.relay)["healthy"])


def test_a_standby_is_refused(own_server: Server, nats_server: Nats) -> None:
    """It may be behind what was relayed, and passes no notifications on: the relay waits for a primary."""
    with servers.running(own_server) as standby:
        relaying = Running(standby.url(TEMPLATE), f"{nats_server.url}/standby", FOREVER)
        try:
            eventually(lambda: relaying.relay.error)
            assert "no server here is a primary" in str(relaying.relay.error)
            assert health(relaying.relay)["relayed"] is None
            standby.promote()
            eventually(lambda: relaying.relay.relayed == 1)
        finally:
            relaying.stop()
            nats_server.delete("standby")
