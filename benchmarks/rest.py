"""rest: what a client costs while nothing changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.measure import Figure, Reach, Table
from benchmarks.place import Place

SECONDS = 60
# Each in an interpreter of its own. What is private to a process is what one more of it costs.
BARE = """
import psycopg, psycopg.pq
from pydantic import BaseModel, Field  # with what a model is made of, which Pydantic loads when it is asked for
"""
OURS = """
import sys, time
import hotconfig
from hotconfig._wire import Wire
calls = []
query = Wire.query
def counted(self, statement, *params, **options):
    calls.append(statement)
    return query(self, statement, *params, **options)
Wire.query = counted
client = hotconfig.Client(sys.argv[1]).start()
client.subscribe(print)
client.current()
"""
REPORT = """
import json, pathlib
rollup = pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()
print(json.dumps(sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))))
"""
WAIT = """
calls.clear()
began = time.process_time()
time.sleep(float(sys.argv[2]))
print(json.dumps([len(calls), time.process_time() - began]))
client.close()
"""


def run(place: Place) -> Table:
    """A process that has started a client with a heartbeat of 10 s and one subscriber, and does nothing else."""
    table = Table("rest", f"a started client with one subscriber, over {SECONDS} s; memory is what is private to it")
    bare = _kilobytes(_python(BARE + REPORT))
    with place.database("rest") as conninfo:
        memory, waited = _python(OURS + REPORT + WAIT, conninfo, str(SECONDS)).splitlines()
    statements, cpu = json.loads(waited)
    core = cpu / SECONDS * 100
    more = (_kilobytes(memory) - bare) / 1000
    table.figures = [
        Figure("statements a minute", "hotconfig", "", statements * 60 / SECONDS),
        Figure("processor time an hour", "hotconfig", "s", cpu / SECONDS * 3600),
        Figure("of a core", "hotconfig", "%", core),
        Figure("memory of the bare imports, with what a model is made of", "limit", "MB", bare / 1000),
        Figure("memory over that", "hotconfig", "MB", more),
    ]
    table.reaches = [
        # Six beats of 10 s, 10 % more or less, and one more when the minute begins just before one.
        Reach("statements a minute: heartbeats only", 8, statements * 60 / SECONDS, "statements"),
        Reach("of a core", 0.05, core, "%"),
        Reach("memory over the bare imports", 3, more, "MB"),
    ]
    return table


def _python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    # Else Pydantic imports the plugins of whatever else is installed.
    environ = os.environ | {"PYDANTIC_DISABLE_PLUGINS": "1"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout


def _kilobytes(printed: str) -> float:
    return float(json.loads(printed))
