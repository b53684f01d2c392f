"""`run`: the tables, their seeds, and an orchestrator that routes requests."""

from __future__ import annotations

import itertools
import shlex
import signal
import time

import hotconfig
from hotconfig import conninfo, embedded

from optiinfra import database, seeds
from optiinfra.registry import Registry, client
from optiinfra.router import Unrouted, route

EDITS = (
    "UPDATE agents SET status = 'failed' WHERE name = 'cost-1'",
    "UPDATE customers SET plan = 'enterprise' WHERE name = 'Acme'",
)
REQUESTS = (
    ("Acme", "right_sizing"),
    ("Acme", "quantization"),
    ("Birch", "right_sizing"),
    ("Cedar", "quantization"),
    ("Cedar", "quality_check"),
)


def run(url: str, pace: float) -> None:
    """Route a request each `pace` seconds, and all of them when the registry changes, until Ctrl-C."""
    # A service manager's way to say Ctrl-C; else what was started would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with database.migrated(url) as connection:
            seeds.seed(connection)
        with client(url) as registry, registry.subscribe(show):
            print("Let an agent fail, or a customer have another plan, from another terminal:")
            for edit in EDITS:
                print(f"    {psql(url, edit)}")
            for request in itertools.cycle(REQUESTS):
                print(line(registry.current(), *request), flush=True)
                time.sleep(pace)
    except KeyboardInterrupt:
        pass  # the way to end it


def show(change: hotconfig.Change[Registry]) -> None:
    """What changed, and what comes of it."""
    lines = [line(change.new, *request) for request in REQUESTS]
    print("\n".join([f"-- changed: {', '.join(change.paths)}", *lines, "--"]), flush=True)


def line(registry: Registry, customer: str, capability: str) -> str:
    """A request, and where it goes."""
    id_ = seeds.key(customer)
    try:
        found = route(registry, id_, capability)
        where = f"{found.name}, {found.endpoint}"
    except Unrouted as error:
        where = f"nobody: {error}"
    who = f"{customer} ({registry.plans.get(id_, 'no plan')})"
    return f"version {registry.version}: {who:<18} {capability:<12} -> {where}"


def psql(url: str, edit: str) -> str:
    """What to type, without a password."""
    if not url.startswith("embedded:"):
        return f'psql "$HOTCONFIG_DATABASE_URL" -c "{edit}"'
    parts = conninfo.resolve(url).connect_params()
    there = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"
    return f'{shlex.join([str(embedded.bin_path() / "psql"), there])} -c "{edit}"'
