"""Chaos: `python -m tests.chaos --seconds 20 --writers 3 --clients 3 --seed 1`.

Writers edit at random, the link and the servers break at random, readers in processes of their own log what they show;
then all is healed and every reader must reach the database's version within the bound of promise 5. Exit code 1 if
anything was violated. A seed gives the same edits in the same order of each writer, and the same faults, but neither
the same timing nor, therefore, the same outcome.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import sqlalchemy as sa
from editing import eventually
from sessions import add_profile

from hotconfig.migrations import watch_table

from .check import check
from .edits import FLAGS, Writer
from .faults import Faults
from .pair import Pair, pair
from .reader import ACTIVE
from .reader import FLAGS as OWN

BOUND = 35.0
"""Seconds of promise 5: a server that answers again is followed."""
ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    faulthandler.dump_traceback_later(given.seconds + 120, exit=True)  # what hangs is to be seen
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and readers are ended either way
    print(f"seed {given.seed}: {given.seconds:g} s, {given.writers} writers, {given.clients} clients", flush=True)
    with tempfile.TemporaryDirectory(prefix="hotconfig-chaos-") as logs, pair() as servers:
        return run(servers, Path(logs), given)


def run(servers: Pair, logs: Path, given: argparse.Namespace) -> int:
    prepare(servers)
    stop = threading.Event()
    writers = [Writer(servers, str(n + 1), given.seed, stop) for n in range(given.writers)]
    documents = [(ACTIVE, OWN, "profile/p1")[n % 3] for n in range(given.clients)]
    files = {n: logs / f"{n}.log" for n in range(given.clients)}
    readers = [start_reader(servers, document, files[n]) for n, document in enumerate(documents)]
    try:
        for path in files.values():
            eventually(lambda path=path: path.exists() and path.stat().st_size, 30)  # type: ignore[misc]
        faults = Faults(servers, readers, random.Random(f"{given.seed} faults"), stop)
        with ThreadPoolExecutor(given.writers + 1) as pool:
            work = [pool.submit(run) for run in (*[writer.run for writer in writers], faults.run)]
            try:
                stop.wait(given.seconds)
            finally:
                stop.set()
            for each in work:
                each.result()
        faults.heal()
        last = finish(servers)
        began = time.monotonic()
        behind = set(files)
        while behind and time.monotonic() - began < BOUND:
            behind = {n for n in behind if not reached(files[n], last)}
            time.sleep(0.01)
        converged = time.monotonic() - began
    finally:
        for reader in readers:
            reader.send_signal(signal.SIGCONT)
            reader.terminate()
        for reader in readers:
            reader.wait(30)
    of_document: dict[str, list[Path]] = {}
    for n, document in enumerate(documents):
        of_document.setdefault(document, []).append(files[n])
    report = check(servers, of_document, writers)
    report.violations += [f"{documents[n]} {n}: not at version {last} after {BOUND:g} s" for n in behind]
    report.violations += [f"reader {n} ended with {r.returncode}" for n, r in enumerate(readers) if r.returncode]

    edits = sum((each.outcomes for each in writers), Counter())
    stale = sorted(report.staleness) or [0.0]
    p99 = stale[min(len(stale) - 1, int(len(stale) * 0.99))]
    if not min(edits["committed"], sum(faults.made.values()), report.checked):
        report.violations.append("nothing was committed, broken or seen: this run says nothing")
    print("edits:", ", ".join(f"{count} {name}" for name, count in edits.most_common()))
    print("faults:", ", ".join(f"{count} {name}" for name, count in faults.made.most_common()) or "none")
    print(f"versions: {last}; taken back by {len(servers.failovers)} failovers:", end=" ")
    print(sum(len({row["version"] for row in each.lost}) for each in servers.failovers))
    print(f"snapshots checked: {report.checked}")
    print(f"staleness: median {statistics.median(stale):.3f} s, p99 {p99:.3f} s, worst {stale[-1]:.3f} s")
    print(f"after the last edit all were there in {converged:.3f} s")
    print(f"violations: {len(report.violations)}")
    for violation in report.violations[:20]:
        print("   ", violation)
    return 1 if report.violations else 0


def prepare(servers: Pair) -> None:
    with psycopg.connect(servers.direct()) as connection:
        connection.execute(FLAGS.encode())
        for name in ("p0", "p1", "p2"):
            add_profile(connection, name)
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(servers.direct()), poolclass=sa.NullPool
    )
    with engine.begin() as owner:
        watch_table(owner, "flags", publishes=OWN, function="flags_document", columns=["name", "value"])


def finish(servers: Pair) -> int:
    """The last edit: every document that is read is there, whole, and new. Its version."""
    eventually(servers.answers, 60)
    with psycopg.connect(servers.direct()) as connection:
        connection.execute("UPDATE config_profiles SET is_default = false")
        connection.execute("DELETE FROM config_profiles WHERE name = 'p1'")
        add_profile(connection, "p1")
        add_profile(connection, "last", is_default=True)
        connection.execute("UPDATE flags SET value = -1")
    return servers.version()


def reached(log: Path, version: int) -> bool:
    """Whether this reader has seen the version, and shows what it made of its document."""
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
    seen = next(event["snapshot"] for event in reversed(events) if event["what"] == "seen")
    status = next((event for event in reversed(events) if event["what"] == "status"), None)
    told = next((event["new"] for event in reversed(events) if event["what"] == "told"), None)
    caught_up = status and status["version"] == version and status["state"] == "live"
    return bool(caught_up and seen[1] == version and told == seen)


def start_reader(servers: Pair, document: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.chaos.reader", document, str(log)]
    environ = os.environ | {"HOTCONFIG_DATABASE_URL": servers.through_proxies()}
    with log.with_suffix(".err").open("wb") as errors:
        return subprocess.Popen(command, cwd=ROOT, env=environ, stderr=errors)


if __name__ == "__main__":
    sys.exit(main())
