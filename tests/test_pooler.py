"""A real PgBouncer in front of the server: session mode is as good as none, transaction mode swallows notifications."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from editing import Editor, eventually
from servers import PASSWORD, Server

from hotconfig import Client

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here: apt-get install pgbouncer")


@pytest.fixture
def pooler(server: Server, database_name: str) -> Iterator[Callable[[str], str]]:
    """Start a PgBouncer in a pool mode; the URL of the test's database through it. Its pool has one session."""
    with ExitStack() as stack:

        def start(mode: str) -> str:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hotconfig-pooler-", dir="/tmp")))
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            configuration = root / "pgbouncer.ini"
            configuration.write_text(f"""
                [databases]
                * = host=127.0.0.1 port={server.port} user=postgres password={PASSWORD}
                [pgbouncer]
                listen_addr = 127.0.0.1
                listen_port = {port}
                unix_socket_dir =
                auth_type = any
                pool_mode = {mode}
                default_pool_size = {1 if mode == "transaction" else 5}
            """)
            account = server.account
            if account is not None:
                os.chown(root, account.pw_uid, account.pw_gid)
                configuration.chmod(0o644)
            assert PGBOUNCER is not None
            process = subprocess.Popen(
                [PGBOUNCER, "-q", configuration],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
            )
            stack.callback(process.wait, timeout=10)
            stack.callback(process.send_signal, signal.SIGTERM)

            def answers() -> bool:
                with socket.socket() as client:
                    return client.connect_ex(("127.0.0.1", port)) == 0

            eventually(answers)
            return f"postgresql://postgres@127.0.0.1:{port}/{database_name}"

        yield start


def test_session_mode_is_live(pooler: Callable[[str], str], editor: Editor) -> None:
    """The session is the client's own: what is announced arrives, though no heartbeat comes."""
    with Client(pooler("session"), heartbeat=1000) as client:
        assert client.status().state == "live"
        for temperature in (0.1, 0.2):
            assert client.wait_for(editor.temperature(temperature)).ai_infra.llm_temperature == temperature


def test_transaction_mode_is_polled(
    pooler: Callable[[str], str], editor: Editor, caplog: pytest.LogCaptureFixture
) -> None:
    """It is found out at the start: edits arrive at the next heartbeat, one warning names cause and remedy."""
    with caplog.at_level(logging.INFO), Client(pooler("transaction"), heartbeat=0.1) as client:
        assert client.status().state == "polling"
        assert client.status().healthy
        for temperature in (0.1, 0.2):
            assert client.wait_for(editor.temperature(temperature)).ai_infra.llm_temperature == temperature
        editor.terminate()
        client.wait_for(editor.temperature(0.3), timeout=20)
    (warning,) = [each.getMessage() for each in caplog.records if "polling" in each.getMessage()]
    assert "transaction mode swallows notifications" in warning
    assert "pool in session mode" in warning


def test_nothing_is_left_in_a_shared_session(pooler: Callable[[str], str], editor: Editor) -> None:
    """Others who are given the same session find their own settings, and listen to nothing."""
    url = pooler("transaction")

    def found() -> tuple[object, ...]:
        with psycopg.connect(url, autocommit=True, application_name="another") as other:
            row = other.execute("""
                SELECT current_setting('statement_timeout'), current_setting('idle_session_timeout'),
                       current_setting('tcp_user_timeout'), current_setting('application_name'),
                       (SELECT count(*) FROM pg_listening_channels()), pg_backend_pid()
            """).fetchone()
        assert row is not None
        return row

    before = found()
    with Client(url, heartbeat=0.05) as client:
        client.wait_for(editor.temperature(0.1))
        assert found() == before
    assert found() == before
