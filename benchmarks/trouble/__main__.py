"""`python -m benchmarks.trouble`: measure and print the trouble table; `--json FILE` writes it, too."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.trouble.products import PRODUCTS
from benchmarks.trouble.rows import ROWS
from benchmarks.trouble.table import run, show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trouble", description=__doc__)
    parser.add_argument("--product", action="append", choices=PRODUCTS, help="a column; default: all")
    parser.add_argument("--row", action="append", choices=list(ROWS), help="default: all")
    parser.add_argument("--postgres", metavar="URL", help="a server to make databases on; default: an embedded one")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the table there")
    wanted = parser.parse_args()
    trouble = run(
        wanted.product or PRODUCTS,
        wanted.row or tuple(ROWS),
        postgres=wanted.postgres,
        progress=lambda text: print(text, file=sys.stderr),
    )
    show(Console(), trouble)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(asdict(trouble), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
