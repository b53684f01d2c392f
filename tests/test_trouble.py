"""The trouble table of the benchmarks: each client reads the server that is made for it. No cell is measured here."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from servers import Server

from benchmarks.trouble import table
from benchmarks.trouble.cell import Cell
from benchmarks.trouble.products import PRODUCTS, product
from benchmarks.trouble.products.hotconfig import POSTGRES
from benchmarks.trouble.table import Line

# A process of its own, as for a cell: clients leave threads and handlers behind.
READS = """
import os, sys
from benchmarks.trouble.one import trial

with trial(sys.argv[1]) as started:
    started.server.publish(2.0)
    assert started.seen(2.0, 30.0) is not None
print("seen")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("name", PRODUCTS)
def test_reads_its_server(name: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reads what its server begins with, and is told of changes."""
    try:
        version(product(name).distribution)
    except PackageNotFoundError:
        pytest.skip(f"{product(name).distribution} is not installed")
    monkeypatch.setenv(POSTGRES, server.url())
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
    root = Path(table.__file__).parents[2]
    command = [sys.executable, "-c", READS, name]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    assert done.stdout.endswith("seen\n"), done.stderr


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that is not installed is left out by name."""

    def missing(distribution: str) -> str:
        raise PackageNotFoundError(distribution)

    monkeypatch.setattr(table, "version", missing)
    found = table.run(["replane"], [])
    assert (found.columns, found.left_out) == ({}, ["Replane: no package replane here"])


@pytest.mark.parametrize(
    ("own", "best"),
    [
        (Cell("0.3 s", 0.3), True),
        (Cell("0.4 s", 0.4), True),
        (Cell("0.5 s", 0.5), False),
        (Cell("-", None, "has none"), None),
    ],
)
def test_best(own: Cell, best: bool | None) -> None:
    """hotconfig is best, or as good as the best but for the tolerance, or not; without a cell of its own neither."""
    others = {"one": Cell("0.3 s", 0.3), "another": Cell("not within 9 s", 9.0, awaited=True), "third": Cell("-")}
    assert Line("row", "a row", 0.1, {"hotconfig": own, **others}).best is best


def test_nothing_to_compare() -> None:
    """A row that applies to no peer says nothing about hotconfig."""
    assert Line("row", "a row", 0.0, {"hotconfig": Cell("1", 1), "one": Cell("-")}).best is None
