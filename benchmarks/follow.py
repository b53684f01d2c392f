"""A process that follows a profile: `python -m benchmarks.follow hotconfig|bare CONNINFO`.

It prints "ready", then a line for each version that a callback was called with: the version and time.monotonic_ns().
For each line that it reads it prints the seconds of processor that its other threads have taken, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict

import psycopg

import hotconfig

# As text, since Pydantic reads that at once, and psycopg would make a dict of it first.
DOCUMENT = """
    SELECT (document || jsonb_build_object('version', version))::text FROM public.config_documents WHERE name = 'active'
"""


def main(kind: str, conninfo: str) -> None:
    if kind == "hotconfig":
        with hotconfig.Client(conninfo) as client:
            client.subscribe(lambda change: applied(change.new))
            print("ready", flush=True)
            answer()
    else:
        threading.Thread(target=end_with_input, daemon=True).start()
        bare(conninfo)


def bare(conninfo: str) -> None:
    """The least that follows: LISTEN, and at each notification one SELECT and Pydantic."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("LISTEN hotconfig")
        load(connection)
        print("ready", flush=True)
        while True:
            for _ in connection.notifies(stop_after=1):
                pass
            applied(load(connection))


def end_with_input() -> None:
    answer()
    os._exit(0)


def answer() -> None:
    """Until the end of the input."""
    for _ in sys.stdin:
        spent: dict[str, float] = defaultdict(float)
        for each in threading.enumerate():
            if each is not threading.current_thread() and each.ident is not None:
                spent[each.name] += time.clock_gettime(time.pthread_getcpuclockid(each.ident))
        print(json.dumps(spent), flush=True)


def load(connection: psycopg.Connection) -> hotconfig.ProfileConfig:
    row = connection.execute(DOCUMENT).fetchone()
    assert row is not None
    return hotconfig.ProfileConfig.model_validate_json(row[0])


def applied(snapshot: hotconfig.ProfileConfig) -> None:
    when = time.monotonic_ns()
    print(snapshot.version, when, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
