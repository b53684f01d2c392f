"""Makes docs/performance.md and its plots: `python -m benchmarks.page FILE`, of what `python -m benchmarks` wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from pydantic import TypeAdapter

from benchmarks.measure import Curve, Table
from benchmarks.report import HEADINGS, Results, cells, reached
from benchmarks.trouble.table import Trouble, notes

DOCS = Path(__file__).parent.parent / "docs"
PLOTS = "performance"
ABOUT = """\
# Performance

<!-- `make bench` makes this page: edit benchmarks/ instead. -->

What hotconfig costs, beside the least that it could cost (the limit) and beside others that were measured in the same
run, by turns. Ratios are of medians; they travel to other machines better than times do: `make bench` measures yours.

Measured in {minutes:.1f} minutes on: {machine}.
"""
DISTRIBUTED = {"propagation", "startup"}  # of which one wants to see more than three figures


def main(path: str) -> None:
    results = TypeAdapter(Results).validate_json(Path(path).read_bytes())
    (DOCS / PLOTS).mkdir(exist_ok=True)
    machine = ", ".join(f"{name} {what}" for name, what in results.machine.items())
    seconds = sum(table.seconds for table in results.tables) + (results.trouble.seconds if results.trouble else 0)
    parts = [ABOUT.format(machine=machine, minutes=seconds / 60)]
    for table in results.tables:
        parts += section(table, PLOTS)
    if results.trouble is not None:
        parts += in_trouble(results.trouble)
    (DOCS / "performance.md").write_text("\n".join(parts), encoding="utf-8")


def section(table: Table, plots: str) -> Iterator[str]:
    """Of a page in docs/, with pictures in this directory there."""
    yield f"## {table.title}\n"
    yield f"{table.about[0].upper()}{table.about[1:]}.\n"
    yield row(HEADINGS)
    yield row("---" if n < 2 else "--:" for n in range(len(HEADINGS)))
    for each in table.figures:
        yield row(cells(each))
    yield ""
    yield from (f"- {line}" for line in reached(table))
    yield from (f"- left out: {line}" for line in table.left_out)
    yield ""
    yield from (f"{line}\n" for line in table.notes)
    if table.title in DISTRIBUTED:
        yield plot(plots, table.title, f"Percentiles of {table.title}", partial(percentiles, table))
    for curve in table.curves:
        yield plot(plots, curve.name, f"Cost against size: {curve.name}", partial(sizes, curve))


def in_trouble(trouble: Trouble) -> Iterator[str]:
    yield f"## {trouble.title}\n"
    yield row(("", *(f"{title} {number}" for title, number in trouble.columns.items())))
    yield row("---" for _ in range(1 + len(trouble.columns)))
    for line in trouble.lines:
        yield row((line.title, *(cell.text for cell in line.cells.values())))
    yield ""
    yield from (f"- {text[0].upper()}{text[1:]}" for text in notes(trouble))
    yield ""


def row(cells: Iterator[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def plot(plots: str, name: str, title: str, draw: Callable[[Axes], None]) -> str:
    """The Markdown of a picture that is drawn."""
    path = f"{plots}/{name.replace(',', '').replace(' ', '-')}.png"
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    draw(axes)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize="small")
    figure.savefig(DOCS / path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return f"![{title}]({path})\n"


def percentiles(table: Table, axes: Axes) -> None:
    for each in table.figures:
        if each.percentiles:
            axes.plot(
                each.percentiles, range(1, 100), label=each.name, linewidth=2.5 if each.kind == "hotconfig" else 1
            )
    axes.set(xscale="log", xlabel=table.figures[0].unit, ylabel="% of the samples")


def sizes(curve: Curve, axes: Axes) -> None:
    for name, points in curve.points.items():
        axes.plot([size for size, _ in points], [cost for _, cost in points], marker="o", label=name)
    axes.set(xscale="symlog", xlabel=curve.size, ylabel=curve.unit)
    axes.set_ylim(bottom=0)


if __name__ == "__main__":
    main(sys.argv[1])
