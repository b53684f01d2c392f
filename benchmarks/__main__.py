"""`python -m benchmarks [SUBJECT ...] [--database CONNINFO] [--json FILE] [--clients N]`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from benchmarks import big, dispatch, fanout, fleet, propagation, read, rest, startup, write
from benchmarks.measure import LeftOut, Table
from benchmarks.place import Place, place
from benchmarks.report import Results, machine, show
from benchmarks.trouble import table as trouble

SUBJECTS: dict[str, Callable[[Place], Table]] = {
    "read": read.run,
    "propagation": propagation.run,
    "fan-out": fanout.run,
    "startup": startup.run,
    "rest": rest.run,
    "write": write.run,
    "dispatch": dispatch.run,
    "big": big.run,
}
FLEET = "fleet"  # only by its name
NAMES = (*SUBJECTS, "trouble")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(NAMES) + f" (default: all), {FLEET}")
    parser.add_argument("--clients", type=int, default=fleet.CLIENTS, metavar="N", help="of fleet (%(default)s)")
    parser.add_argument("--database", metavar="CONNINFO", help="whose user may create databases (embedded)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written, too")
    given = parser.parse_args()
    if unknown := set(given.subjects).difference((*NAMES, FLEET)):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join((*NAMES, FLEET))}")
    wanted = given.subjects or NAMES
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server and the processes are ended either way
    console = Console(width=None if sys.stdout.isatty() else 120)
    tables, in_trouble = [], None
    with place(given.database) as server:
        on = machine() | {"server": server.version}
        console.print(", ".join(f"{name} {what}" for name, what in on.items()), highlight=False)
        subjects: dict[str, Callable[[Place], Table]] = {**SUBJECTS, FLEET: partial(fleet.run, clients=given.clients)}
        for name, run in subjects.items():
            if name in wanted:
                began = time.monotonic()
                try:
                    tables.append(run(server))
                except LeftOut as left_out:
                    console.print(f"{name}: left out: {left_out}", style="red")
                    continue
                tables[-1].seconds = time.monotonic() - began
                show(console, tables[-1])
                save(given.json, Results(on, tables))
    if "trouble" in wanted:
        began = time.monotonic()
        in_trouble = trouble.run(postgres=given.database, progress=lambda cell: print(cell, file=sys.stderr))
        in_trouble.seconds = time.monotonic() - began
        trouble.show(console, in_trouble)
        save(given.json, Results(on, tables, in_trouble))
    missed = [reach for table in tables for reach in table.reaches if not reach.met]
    console.print(f"{sum(len(table.reaches) for table in tables)} to reach, {len(missed)} not reached", highlight=False)
    return 0 if tables or in_trouble is not None else 1


def save(path: Path | None, results: Results) -> None:
    """After each subject: what was measured is not lost with the next one."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TypeAdapter(Results).dump_json(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
