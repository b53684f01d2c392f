"""What the one statement costs that is load and heartbeat at once, against a statement for each; and planned once.

python experiments/look.py [rounds]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from hotconfig import _postgres, embedded, migrations
from hotconfig._feed import Stop
from hotconfig._wire import Wire
from hotconfig.conninfo import resolve

VERSION = """
    SELECT version, token, EXISTS (SELECT FROM pg_listening_channels() AS c WHERE c = $1) FROM public.config_state
"""
DOCUMENT = "SELECT version, token, document FROM public.config_documents WHERE name = $1"


def median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] * 1000


def compare(wire: Wire, how: str, asked: dict[str, list[tuple[str, list[str | None]]]], rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, statements in asked.items():
            began = time.perf_counter()
            for statement, params in statements:
                wire.query(statement, *params, timeout=5)
            times[name].append(time.perf_counter() - began)
    for name, measured in times.items():
        print(f"{how}, {name}: median {median(measured):.3f} ms")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = embedded.start(Path(directory) / "data")
        migrations.upgrade(url)
        stop = Stop()
        wire = Wire.connect(resolve(url).connect_params(), stop, timeout=5)
        wire.query("LISTEN hotconfig", timeout=5)
        wire.query("SELECT config_publish('six', jsonb_build_object('prompt', repeat('word ', 1200)))", timeout=5)
        look = _postgres._prepared("public")
        ((token,),) = wire.query("SELECT token FROM config_documents", timeout=5)
        known = None if token is None else token.decode()
        asked: dict[str, list[tuple[str, list[str | None]]]] = {
            "nothing new, one statement": [(look, ["six", known, "hotconfig"])],
            "nothing new, version alone": [(VERSION, ["hotconfig"])],
            "something new, one statement": [(look, ["six", None, "hotconfig"])],
            "something new, version then document": [(VERSION, ["hotconfig"]), (DOCUMENT, ["six"])],
        }
        compare(wire, "planned each time", asked, rounds)
        wire.query("SET plan_cache_mode = force_generic_plan", timeout=5)
        for statement in (look, VERSION, DOCUMENT):
            wire.prepare(statement, timeout=5)
        compare(wire, "planned once", asked, rounds)
        wire.close()
        stop.close()
        embedded.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
