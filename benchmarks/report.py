"""A table as text, and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.measure import Figure, Table
from benchmarks.trouble.table import Trouble


@dataclass(frozen=True, slots=True)
class Results:
    """A run, as `--json` writes it."""

    machine: dict[str, str]
    tables: list[Table]
    trouble: Trouble | None = None


def machine() -> dict[str, str]:
    """What the figures depend on."""
    found = [line for line in cpu_lines() if line.startswith("model name")]
    return {
        "processor": found[0].partition(":")[2].strip() if found else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{package: version(package) for package in ("hotconfig", "psycopg", "pydantic")},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text("utf-8").splitlines() if path.exists() else []


def number(value: float | None) -> str:
    """With three digits, for a reader."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def cells(figure: Figure) -> tuple[str, ...]:
    """Name, unit, median, 99th percentile, minimum, samples, ratio."""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    median, p99, minimum = number(figure.median), number(figure.p99), number(figure.minimum)
    return figure.name, figure.unit, median, p99, minimum, str(figure.count), ratio


HEADINGS = ("", "unit", "median", "p99", "min", "samples", "of the limit")


def reached(table: Table) -> Iterator[str]:
    """What was to be reached, a line each."""
    for each in table.reaches:
        verdict = "reached" if each.met else "NOT reached"
        unit = f" {each.unit}" if each.unit else "x"
        measured = number(each.measured)
        if measured == number(each.at_most):
            measured = f"{each.measured:.5g}"
        yield f"{each.what}: at most {number(each.at_most)}{unit}, measured {measured}{unit}: {verdict}"


def show(console: Console, table: Table) -> None:
    grid = Grid(title=table.title, title_justify="left", title_style="bold")
    for n, heading in enumerate(HEADINGS):
        grid.add_column(heading, justify="left" if n < 2 else "right")
    for each in table.figures:
        grid.add_row(*cells(each), style="bold" if each.kind == "hotconfig" else "")
    console.print(grid)
    for line in reached(table):
        console.print(line, style="" if line.endswith(": reached") else "red", highlight=False)
    for line in table.notes:
        console.print(line, highlight=False)
    for line in table.left_out:
        console.print(f"left out: {line}", highlight=False)
    console.print()
