"""All cells, side by side, and the table that they make."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.trouble.cell import Cell, in_seconds
from benchmarks.trouble.products import PRODUCTS, product
from benchmarks.trouble.rows import ROWS

SIDE_BY_SIDE = 14
"""Cells that are measured at a time: most of them wait."""

BOUND = 150.0
"""Seconds that a trial may take, with the starting of its processes; no row waits as long."""

STAGGER = 0.4
"""Seconds between two that start, since starting is what keeps a processor busy."""

starting = threading.Lock()  # held by the one that starts

ABOUT = (
    "How a client behaves when something goes wrong. hotconfig reads a real PostgreSQL; every other column is the "
    "client side only, against a stub server of ours that speaks its vendor's protocol, and says nothing of the "
    "vendor's service. Each client is used as its documentation recommends for a server-side process, streaming where "
    "it can stream, with its default intervals and time-outs. Each cell is a fresh process; several are measured at a "
    "time, most of which wait. Where there is a range, it is that of several trials, beside their median. The error is "
    "HTTP's 503; PostgreSQL refuses the connection."
)
BESIDES = (
    "What the others do besides, and hotconfig does not: LaunchDarkly, Unleash, GrowthBook and Flagsmith target values "
    "by user and segment, roll them out by percentage, run experiments and gather their analytics; Replane overrides "
    "values by context. They come with SDKs for many languages, a hosted service with a user interface, roles and "
    "approvals, and some with a relay at the edge. An application that needs that needs one of them. The values that "
    "they serve have the types that somebody gave them in that interface, not those that the application declares, "
    "hence what readers get of a wrong one."
)


@dataclass(slots=True)
class Line:
    """A row as it was measured: the cells by the titles of the columns."""

    name: str
    title: str
    tolerance: float
    cells: dict[str, Cell]

    @property
    def best(self) -> bool | None:
        """Whether hotconfig is best or equal; None if there is nothing to compare."""
        return self.best_of("hotconfig")

    def best_of(self, product: str) -> bool | None:
        """Whether this one is best or equal; None if there is nothing to compare."""
        own = self.cells.get(product, Cell("-")).value
        others = [cell.value for title, cell in self.cells.items() if title != product and cell.value is not None]
        return None if own is None or not others else own <= min(others) + self.tolerance

    @property
    def better(self) -> list[str]:
        """Who is better than hotconfig."""
        own = self.cells["hotconfig"].value
        return (
            []
            if own is None
            else [
                title
                for title, cell in self.cells.items()
                if cell.value is not None and cell.value + self.tolerance < own
            ]
        )


@dataclass(slots=True)
class Trouble:
    """The whole table; `dataclasses.asdict` makes it data for JSON."""

    title: str = "In trouble"
    about: str = ABOUT
    besides: str = BESIDES
    columns: dict[str, str] = field(default_factory=dict)
    """The titles of the products, and their versions."""
    how: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """That it took to measure."""
    lines: list[Line] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def run(
    products: Sequence[str] = PRODUCTS,
    rows: Sequence[str] = tuple(ROWS),
    *,
    postgres: str | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> Trouble:
    """Measure; in under four minutes on two processors.

    Args:
        products: the columns; those whose package is not installed are left out by name.
        rows: of them by name.
        postgres: the URL of a server on which databases may be made. Default: an embedded one.
        progress: told of each cell that is measured.
    """
    trouble = Trouble()
    installed: dict[str, str] = {}
    for name in products:
        each = product(name)
        try:
            trouble.columns[each.title] = version(each.distribution)
        except PackageNotFoundError:
            if name != "hotconfig":
                trouble.left_out.append(f"{each.title}: no package {each.distribution} here")
                continue
            trouble.columns[each.title] = "this checkout"
        installed[name] = each.title
        trouble.how[each.title] = each.how
    trouble.lines = [Line(name, ROWS[name].title, ROWS[name].tolerance, {}) for name in rows]
    lines = {line.name: line for line in trouble.lines}
    # The longest first, so that the end waits for none.
    order = sorted(rows, key=lambda name: ROWS[name].lasts, reverse=True)
    with ExitStack() as stack:
        within = environment(stack, postgres=postgres, wanted="hotconfig" in installed)
        pool = stack.enter_context(ThreadPoolExecutor(SIDE_BY_SIDE))
        cells = {pool.submit(trials, name, row, within): (name, row) for row in order for name in installed}
        for done in as_completed(cells):
            name, row = cells[done]
            lines[row].cells[installed[name]] = cell = done.result()
            progress(f"{installed[name]}, {ROWS[row].title}: {cell.text}")
    for line in trouble.lines:
        line.cells = {title: line.cells[title] for title in trouble.columns}
    return trouble


def environment(stack: ExitStack, *, postgres: str | None, wanted: bool) -> dict[str, str]:
    """In which the cells of hotconfig find a server that they share, until the stack ends."""
    # Whatever plugins for Pydantic are installed here: they would be loaded by every cell.
    found = os.environ | {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
    if wanted:
        from benchmarks.trouble.products.hotconfig import POSTGRES, started

        found[POSTGRES] = postgres or os.environ.get(POSTGRES) or started(stack)
    return found


def trials(name: str, row: str, within: dict[str, str]) -> Cell:
    """The cell; what did not happen once, for as long as it was waited for, is not waited for again."""
    cells: list[Cell] = []
    for _ in range(ROWS[row].trials):
        cells.append(one(name, row, within))
        if cells[-1].awaited or cells[-1].value is None:
            return cells[-1]
    values = sorted(cell.value for cell in cells if cell.value is not None)
    if len(values) < 2:
        return cells[-1]
    median = statistics.median(values)
    if isinstance(values[0], int):
        text = f"{median:g}" if values[0] == values[-1] else f"{median:g} ({values[0]} to {values[-1]})"
    else:
        text = f"{in_seconds(median)} ({values[0]:.1f} to {values[-1]:.1f})"
    return Cell(text, median, cells[-1].note)


def one(name: str, row: str, within: dict[str, str]) -> Cell:
    """One trial, in a process and a session of its own: if it does not end, all that it started is ended with it."""
    command = [sys.executable, "-m", "benchmarks.trouble.one", name, row]
    pipe = subprocess.PIPE
    with starting:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=within,
            start_new_session=True,
        )
        time.sleep(STAGGER)
    try:
        output, errors = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Cell(f"no answer within {BOUND:g} s", BOUND, awaited=True)
    try:
        return Cell(**json.loads(output))
    except ValueError:
        last = errors.strip().splitlines()[-1:] or [f"ended with {process.returncode}"]
        return Cell("not measured", None, last[0])


def show(console: Console, trouble: Trouble) -> None:
    grid = Grid(title=trouble.title, title_justify="left", title_style="bold", show_lines=True)
    grid.add_column("")
    for title, number in trouble.columns.items():
        grid.add_column(f"{title}\n{number}", style="bold" if title == "hotconfig" else "")
    for line in trouble.lines:
        grid.add_row(line.title, *(cell.text for cell in line.cells.values()))
    console.print(grid)
    for text in notes(trouble):
        console.print(text, highlight=False)
    console.print()


def notes(trouble: Trouble) -> Iterator[str]:
    """What stands below the table, a paragraph each."""
    for line in trouble.lines:
        said = [f"{title}: {cell.note}" for title, cell in line.cells.items() if cell.note]
        if said:
            yield f"{line.title}: {'; '.join(said)}."
    yield f"How each is used: {'; '.join(f'{title}: {how}' for title, how in trouble.how.items())}."
    yield trouble.about
    yield trouble.besides
    compared = [line for line in trouble.lines if line.best is not None]
    if compared:
        yield f"hotconfig is best or equal in {sum(line.best is True for line in compared)} rows of {len(compared)}."
    for line in compared:
        if not line.best:
            yield f"NOT best or equal: {line.title}: better are {', '.join(line.better)}"
    if compared:
        best = {title: sum(line.best_of(title) is True for line in compared) for title in trouble.columns}
        yield (
            "Nobody is best in all rows, and some pull against each other: who asks a silent link every second notices "
            "sooner and costs more at rest; who asks a server that refuses it without a pause is back at once, and a "
            f"burden. Best or equal are, in so many rows: {', '.join(f'{t} {n}' for t, n in best.items())}."
        )
    for text in trouble.left_out:
        yield f"left out: {text}"
