"""Makes docs/scale.md: `python -m benchmarks.scale FILE`, of what `python -m benchmarks fleet --json FILE` wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.fleet import RELAYS
from benchmarks.measure import Table
from benchmarks.page import DOCS, row, section
from benchmarks.report import Results, number

PLOTS = "scale"
PROCESSES = 100_000
REGIONS = 3
HEARTBEATS = 10, 60  # seconds: the default, and what one can do with
ABOUT = """\
# Scale

<!-- `make scale` makes this page: edit benchmarks/scale.py instead. -->

How far one goes with the relay of [thousands of processes](howto/fan-out.md): what was measured on one small machine,
on which clients, servers and database share the processors, and hundreds of clients the interpreter of a process; and
what that means for {processes:,} processes, each with one.

Measured on: {machine}.
"""
PAPER = """\
## On paper: {processes:,} processes in {regions} regions

Each figure is one of above, times what it is multiplied by; nothing of this section was run. Of processor time they are
rather too much, since clients, servers and database disturbed each other.
"""
BREAKS = """\
## What breaks first, and what to do

1. **The servers' processors at an edit**, since every process reads the new document at once. More servers in the
   cluster share the connections, and more replicas share the reads: up to five, then mirrors of the stream with
   `mirror_direct`, which answer for it. Documents that few processes follow cost little: a state names what changed,
   and only those who follow it read.
2. **Their processors at rest**, which is heartbeats: a client's `heartbeat=` is what an edit may be late when a hint is
   lost, and nothing else; a minute will do.
3. **A reconnect storm** when a server dies: clients come back after a random pause, at first of 0.1 to 0.2 s and
   at last of 5 to 10 s, each to any of the servers. They stay there: a server that was started again has none until
   another one loses its own, so that after all were restarted one may have most of them. Before a restart,
   `nats-server --signal ldm` lets clients go a few at a time.
4. **The line between regions**: one stream in one region, a mirror of it in each other one, and the processes connect
   to the servers of their own region. Then a document crosses the line once for each region. Where a region has to
   start while the line is cut: [PostgreSQL's replication](howto/regions.md), and a relay there.
5. PostgreSQL does not: it sees the relays.
"""


def main(path: str) -> None:
    results = TypeAdapter(Results).validate_json(Path(path).read_bytes())
    (table,) = (each for each in results.tables if each.title == "fleet")
    machine = ", ".join(f"{name} {what}" for name, what in results.machine.items())
    parts = [ABOUT.format(processes=PROCESSES, machine=machine), *section(table, PLOTS)]
    parts += [PAPER.format(processes=PROCESSES, regions=REGIONS), *paper(table)]
    parts += ["", BREAKS]
    (DOCS / "scale.md").write_text("\n".join(parts), encoding="utf-8")


def paper(table: Table) -> Iterator[str]:
    """A line for each resource: what is needed, and the figures that it rests on."""
    measured = sorted(
        int(each.name.partition(" ")[0].replace(",", ""))
        for each in table.figures
        if each.name.endswith("to the last client")
    )
    few, many = measured[0], measured[-1]
    at = f"{many:,} clients: "
    value = table.median
    messages = value(f"{at}messages from NATS to a client for an edit")
    size = value(f"{at}bytes from NATS to a client for an edit")
    servers = value(f"{at}processor time of the NATS servers for an edit") / 1e3 / many
    memory = (value(f"{at}memory of the NATS servers") - value(f"{few:,} clients: memory of the NATS servers")) / (
        many - few
    )
    rest = value("at rest: processor time of the NATS servers in a second") / 1e3 / many
    minute = value("at rest: messages from NATS to a client in a minute") / 60
    killed = "a server killed: "
    came_back = value(f"{killed}the most clients that came back")
    storm = value(f"{killed}until all are live and have an edit made then")
    longest = value(f"{killed}the longest of these times")
    processors = value(f"{killed}processor time of the others meanwhile")
    yield row(("", "needed", "rests on"))
    yield row(("---", "--:", "---"))
    yield row(
        (
            "connections to PostgreSQL",
            number(value("connections of hotconfig to PostgreSQL")),
            f"{RELAYS} relays, one each",
        )
    )
    yield row(("connections to NATS", f"{PROCESSES:,}", "one of each process"))
    yield row(
        (
            "memory of the servers for them",
            f"{number(memory * PROCESSES / 1e3)} GB",
            f"{number(memory * 1e3)} KB for a client more",
        )
    )
    yield row(
        (
            "messages for an edit that all follow",
            f"{number(messages * PROCESSES)}",
            f"{number(messages)} for each client",
        )
    )
    yield row(
        (
            "bytes for it",
            f"{number(size * PROCESSES / 1e9)} GB",
            f"{number(size)} for each client, the document of 6 KB on its way from a replica and to the client",
        )
    )
    yield row(
        (
            "of the servers' processors for it",
            f"{number(servers * PROCESSES)} s",
            f"{number(servers * 1e3)} ms for each client",
        )
    )
    yield row(("so that it is everywhere within 5 s", f"{number(servers * PROCESSES / 5)} cores", "the same"))
    yield row(
        (
            "across the lines between regions, with a mirror in each",
            f"{number(size * (REGIONS - 1) / 1e3)} KB",
            "the bytes of one client for each region but the first",
        )
    )
    for seconds in HEARTBEATS:
        share = HEARTBEATS[0] / seconds
        yield row(
            (
                f"at rest, a heartbeat of {seconds} s: messages in a second",
                number(minute * PROCESSES * share),
                f"{number(minute * 60)} in a minute for a client with one of {HEARTBEATS[0]} s",
            )
        )
        yield row(
            (
                f"at rest, a heartbeat of {seconds} s: of the servers' processors",
                f"{number(rest * PROCESSES * share)} cores",
                f"{number(rest * 1e6)} us in a second for a client with one of {HEARTBEATS[0]} s",
            )
        )
    yield row(
        (
            "a server of three dies: connections that come back",
            number(came_back * PROCESSES / many),
            f"at most {number(came_back)} of {many:,}, when each server was killed once",
        )
    )
    yield row(
        (
            "until all are live again, as measured with fewer",
            f"{number(longest)} s",
            f"the longest of the times of {many:,}, with an edit; their median is {number(storm)} s",
        )
    )
    yield row(
        (
            "of the other servers' processors for it, with an edit",
            f"{number(processors * PROCESSES / many)} s",
            f"{number(processors)} s for {many:,} clients",
        )
    )
    yield row(
        (
            "memory of a process for its client",
            f"{number(value('memory of a client'))} KB",
            "measured with many in a process, beyond what importing takes",
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
