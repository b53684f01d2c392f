"""startup: the import, and the start.

`python -m benchmarks.startup CONNINFO` prints samples of the start as JSON, of a process in which nothing else was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg

from benchmarks.follow import load
from benchmarks.measure import Figure, Reach, Table, by_turns, figure
from benchmarks.place import Place
from benchmarks.process import ROOT
from hotconfig import Client

IMPORTS = 25
STARTS = 200
BARE_IMPORT = "import psycopg, pydantic"
# Pydantic itself loads nothing before it is asked for something; this is what whoever has a model asks for.
MODEL_IMPORT = "import psycopg; from pydantic import BaseModel, Field"
OUR_IMPORT = "import hotconfig"
BARE_START = "psycopg.connect(), one SELECT, Pydantic"
OUR_START = "Client.start()"
HEAVY = ("sqlalchemy", "alembic", "typer", "rich")


def run(place: Place) -> Table:
    """What a process pays before its first read."""
    table = Table("startup", "imports in a new interpreter, without its own start; starts in one that has imported")
    imports = by_turns({each: _import(each) for each in (BARE_IMPORT, MODEL_IMPORT, OUR_IMPORT)}, IMPORTS, warm_up=2)
    with place.database("startup") as conninfo:
        command = [sys.executable, "-m", "benchmarks.startup", conninfo]
        starts = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    table.figures = [
        figure(BARE_IMPORT, "beside", "ms", imports[BARE_IMPORT], limit=imports[MODEL_IMPORT]),
        figure(MODEL_IMPORT, "limit", "ms", imports[MODEL_IMPORT]),
        figure(OUR_IMPORT, "hotconfig", "ms", imports[OUR_IMPORT], limit=imports[MODEL_IMPORT]),
        figure(BARE_START, "limit", "ms", starts[BARE_START]),
        figure(OUR_START, "hotconfig", "ms", starts[OUR_START], limit=starts[BARE_START]),
    ]
    loaded = [name for name in HEAVY if name in _modules()]
    table.figures.append(Figure("of " + ", ".join(HEAVY) + ": loaded by it", "hotconfig", "", len(loaded)))
    table.reaches = [
        Reach(f"import, to {MODEL_IMPORT!r}", 1.2, table.median(OUR_IMPORT) / table.median(MODEL_IMPORT)),
        Reach(f"import, to {BARE_IMPORT!r}", 1.2, table.median(OUR_IMPORT) / table.median(BARE_IMPORT)),
        Reach("start", 1.2, table.median(OUR_START) / table.median(BARE_START)),
        Reach("loaded of SQLAlchemy, Alembic, Typer, Rich", 0, len(loaded), "packages"),
    ]
    floor = table.median(MODEL_IMPORT) / table.median(BARE_IMPORT)
    table.notes.append(
        "`import pydantic` loads nothing of Pydantic before it is asked for a model: who has one pays for that, "
        f"whoever asks first, {floor:.2f} times the bare names."
    )
    return table


def main(conninfo: str) -> None:
    sides = {
        BARE_START: lambda: _bare(conninfo),
        OUR_START: lambda: _start(conninfo),
    }
    print(json.dumps(by_turns(sides, STARTS, warm_up=STARTS // 10)))


def _import(statement: str) -> Callable[[], float]:
    program = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    return lambda: float(_python(program))


def _modules() -> set[str]:
    return set(_python("import hotconfig, sys; print(*sys.modules)").split())


def _python(program: str) -> str:
    # Pydantic imports the plugins of whatever else is installed, such as Logfire's, with the first model.
    environ = os.environ | {"PYDANTIC_DISABLE_PLUGINS": "1"}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environ)
    return done.stdout


def _bare(conninfo: str) -> float:
    began = time.perf_counter()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        load(connection)
        return time.perf_counter() - began


def _start(conninfo: str) -> float:
    client = Client(conninfo)
    began = time.perf_counter()
    client.start()
    client.current()
    taken = time.perf_counter() - began
    client.close()
    return taken


if __name__ == "__main__":
    main(sys.argv[1])
