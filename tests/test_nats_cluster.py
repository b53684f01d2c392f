"""A cluster of three NATS servers, the one that leads killed: nothing is lost, nobody goes back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import nats
import nats_servers
import psycopg
import pytest
from bounds import DOWN, HEARTBEAT, Within
from contents import found, wanted
from editing import Editor, eventually
from nats_servers import Nats
from programs import started
from relays import Relays, Running

from hotconfig import Change, Client

READER = """
import sys, hotconfig
client = hotconfig.Client(sys.argv[1], heartbeat=1).start()
versions = [client.current().version]
client.subscribe(lambda change: versions.append(change.new.version))
print("ready", flush=True)
last = int(sys.stdin.readline())
client.wait_for(last, timeout=35)
assert client.current().version == last
assert versions == sorted(set(versions)), versions
assert client.status().rewinds == 0
"""


@pytest.fixture
def cluster() -> Iterator[Nats]:
    with nats_servers.running(3) as servers:
        yield servers


def turned(servers: Nats, by: int) -> str:
    """The address, with another server named first."""
    hosts = [f"127.0.0.1:{port}" for port in servers.ports]
    return f"nats://{','.join(hosts[by:] + hosts[:by])}"


@pytest.mark.parametrize("starts", [1, 2])
def test_a_server_alone(starts: int, database: str, editor: Editor, own_nats: Nats) -> None:
    """However often a relay has connected: the bucket is there after the server's restart, with no relay."""
    for _ in range(starts):
        relaying = Running(database, own_nats.url, HEARTBEAT)
        eventually(lambda relaying=relaying: relaying.relay.relayed == editor.version())  # type: ignore[misc]
        relaying.stop()
    own_nats.kill(0)
    own_nats.start(0)

    with Client(own_nats.url) as client:
        assert client.current().version == editor.version()


def test_a_server_alone_keeps_one_replica(database: str, editor: Editor, own_nats: Nats) -> None:
    """It would take more, and lose the bucket at its restart: that is refused, be the bucket there or not."""
    relaying = Running(database, own_nats.url, HEARTBEAT)
    eventually(lambda: relaying.relay.relayed == editor.version())
    relaying.stop()
    relaying = Running(database, own_nats.url, HEARTBEAT, replicas=3)
    try:
        eventually(lambda: "Next: leave --replicas out" in str(relaying.relay.error))
    finally:
        relaying.stop()


class Editing:
    """Somebody who goes on editing in a thread."""

    def __init__(self, database: str) -> None:
        self.count = 0
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._edit)
        self._thread.start()

    def _edit(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            editor = Editor(connection)
            while not self._ended.wait(0.01):
                editor.tokens(self.count + 1)
                editor.publish(f"own/{self.count % 3}", f'{{"n": {self.count}}}' if self.count % 5 else None)
                self.count += 1

    def more(self, count: int = 20) -> None:
        """Until there are so many more."""
        wanted = self.count + count
        eventually(lambda: self.count >= wanted)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.mark.timeout(180)
def test_the_leader_is_killed(
    cluster: Nats, database: str, editor: Editor, relay_process: Relays, within: Within
) -> None:
    """While edits go on, and started again: relay, three clients here and one elsewhere end with the last of them."""
    told: list[list[Change]] = [[], [], []]
    with ExitStack() as stack:
        stack.enter_context(relay_process.running(database, cluster.url, HEARTBEAT))
        relay_process.settle(cluster.url, editor)
        clients = [stack.enter_context(Client(turned(cluster, n), heartbeat=HEARTBEAT)) for n in range(3)]
        for client, heard in zip(clients, told, strict=True):
            client.subscribe(heard.append)
        command = [sys.executable, "-c", READER, cluster.url]
        reader = stack.enter_context(started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"

        editing = Editing(database)
        stack.callback(editing.end)
        editing.more()
        leader = cluster.leader()
        cluster.kill(leader)
        editing.more()
        cluster.start(leader)
        editing.more()
        editing.end()
        last = editor.tokens(10**6)

        with within(DOWN) as limit:
            for client in clients:
                assert client.wait_for(last, timeout=limit).ai_infra.llm_max_tokens == 10**6
        reader.communicate(f"{last}\n", timeout=60)
        assert reader.returncode == 0
        relay_process.settle(cluster.url, editor)
        eventually(lambda: cluster.eventually(_answers) and found(cluster, "hotconfig") == wanted(editor))
        for client, heard in zip(clients, told, strict=True):
            eventually(lambda heard=heard, client=client: heard[-1].new is client.current())  # type: ignore[misc]
            versions = [change.new.version for change in heard]
            assert versions == sorted(set(versions))
            assert client.status().rewinds == 0


async def _answers(connection: nats.NATS) -> bool:
    return bool(await connection.jsm().stream_info("KV_hotconfig"))


def replicas(cluster: Nats) -> int | None:
    async def ask(connection: nats.NATS) -> int | None:
        return (await connection.jsm().stream_info("KV_hotconfig")).config.num_replicas

    number: int | None = cluster.eventually(ask)
    return number


@pytest.mark.timeout(120)
def test_a_bucket_has_three_replicas(cluster: Nats, database: str) -> None:
    """Where there are three servers; one that was made with fewer gets them from the next relay; or as many as told."""
    for told, expected in ((1, 1), (None, 3)):
        relaying = Running(database, cluster.url, HEARTBEAT, replicas=told)
        eventually(lambda relay=relaying.relay: relay.relayed == 1)  # type: ignore[misc]
        relaying.stop()
        assert replicas(cluster) == expected
