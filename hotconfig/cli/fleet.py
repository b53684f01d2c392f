"""Verbs about the running clients: wait, fleet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from hotconfig.admin import Admin, Member
from hotconfig.cli import options, output, waiting
from hotconfig.cli.app import verb
from hotconfig.errors import Unavailable

EVERY = 1.0  # seconds between two looks of --watch


@verb("hotconfig wait --timeout 30")
def wait(
    version: Annotated[
        int | None, typer.Argument(min=0, metavar="VERSION", help="Which one (default: the newest)")
    ] = None,
    *,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="At most so long.")] = 10.0,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Wait until all running clients have a version, whoever made it; exit code 3 if they have not in time."""
    with Admin(database, schema=schema) as admin:
        waited = waiting.wait(admin, admin.newest_version() if version is None else version, timeout)
    if as_json:
        output.print_json({"version": waited.version, **waited.as_json()})
    waited.conclude(as_json=as_json)


@verb("hotconfig fleet --json")
def fleet(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """List the running clients, what each follows and which version it has; in front those that lack the newest."""
    with Admin(database, schema=schema) as admin:
        looks = _looks(admin) if watch else iter([admin.fleet()])
        try:
            if watch and sys.stdout.isatty() and not as_json:
                with Live(console=output.console(), auto_refresh=False) as live:
                    for members in looks:
                        live.update(_table(members), refresh=True)
            last = None
            for members in looks:
                if as_json:
                    output.print_json({"members": [asdict(member) for member in members]})
                elif members != last:
                    output.console().print(_table(members) if members else "no client is running")
                last = members
        except KeyboardInterrupt:
            pass  # the way to end it


def _looks(admin: Admin) -> Iterator[list[Member]]:
    """The fleet, every second; a server that goes away is told once, and comes back."""
    yield admin.fleet()
    told = False
    while True:
        time.sleep(EVERY)
        try:
            members = admin.fleet()
        except Unavailable as error:
            if not told:
                output.warn(str(error))
            told = True
            continue
        told = False
        yield members


def _table(members: list[Member]) -> Table:
    rows = [
        (
            member.host,
            str(member.pid or ""),
            waiting.shown(member.document),
            str(member.version),
            (str(member.behind), "yellow" if member.behind else ""),
            ("rejected" if member.rejected else "", "bold red"),
        )
        for member in sorted(members, key=lambda member: (not member.rejected, -abs(member.behind)))
    ]
    return output.grid(("host", "pid", "follows", "version", "behind", ""), rows)
