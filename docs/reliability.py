"""Makes reliability.md: breaks what can break, and writes down what that cost. `make reliability` takes an hour."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ("tests/faults", "tests/security", "tests/test_fork.py", "tests/test_cache.py", "tests/test_close.py")
ABOUT = """\
# Reliability

<!-- `make reliability` makes this page: edit docs/reliability.py instead. -->

What was broken, what is promised then, and what it cost. Each row is a test that `make test` runs too, and that fails
when the promise is not kept; this page is the outcome of running each of them {count} times on {machine}.

A time is from the edit, or from when the server answers again, until the client shows the edit. The
[promises](design.md#promises) give the bounds; the tests' heartbeat is 1 s, where the default is 10 s.
"""

STALENESS = """\
Staleness is for how long a process had not seen the newest version when it saw it, whatever was in the way: faults come
one upon the other here, and a process that is frozen, or cannot reach its server, sees nothing. That all arrive within
the promised time after the last fault is checked, and would be a violation.
"""


class Record:
    """A pytest plugin: the outcome of every run of every test, and the times that its fixture `within` kept."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.chapters: dict[str, list[str]] = defaultdict(list)
        self.passed: dict[str, int] = defaultdict(int)
        self.failed: dict[str, int] = defaultdict(int)
        self.skipped: dict[str, str] = {}
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        assert isinstance(item, pytest.Function)
        name = plain(item.nodeid)
        if name not in self.told:
            self.told[name] = " ".join((item.function.__doc__ or item.originalname).split())
            self.chapters[item.module.__doc__.strip().splitlines()[0]].append(name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = plain(report.nodeid)
        if report.skipped:
            self.skipped[name] = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        elif report.failed:
            self.failed[name] += 1
        elif report.when == "call":
            self.passed[name] += 1
        if report.when == "call":
            for promise, seconds in report.user_properties:
                assert isinstance(seconds, float)
                self.times[name, promise].append(seconds)


def plain(nodeid: str) -> str:
    """Of a test, whatever its parameters."""
    return nodeid.partition("[")[0]


def times(record: Record) -> Iterator[str]:
    yield "| What breaks | Promise | Measured | Median | Worst |"
    yield "| --- | --- | --: | --: | --: |"
    for (name, promise), seconds in sorted(record.times.items(), key=lambda item: item[0][1]):
        what = record.told[name]
        yield f"| {what} | {promise} | {len(seconds)} | {median(seconds):.3f} s | {max(seconds):.3f} s |"


def outcomes(record: Record) -> Iterator[str]:
    timed = {name for name, _ in record.times}
    for chapter, names in record.chapters.items():
        rest = [name for name in names if name not in timed]
        if rest:
            yield f"\n### {chapter}\n"
            yield "| Test | What holds | Runs | Failed |"
            yield "| --- | --- | --: | --: |"
        for name in rest:
            title = name.rpartition("::test_")[2].replace("_", " ")
            runs = record.passed[name] + record.failed[name]
            yield f"| {title} | {record.told[name]} | {runs or record.skipped[name]} | {record.failed[name]} |"


def printed(*arguments: str) -> str:
    """A program of ours with what it printed."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    shown = f"$ python -m {' '.join(arguments)}\n{done.stdout}"
    if done.returncode:
        shown += "\n".join([*done.stderr.splitlines()[-1:], f"exit code {done.returncode}\n"])
    return f"```text\n{shown}```\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="how often each test is run (5)")
    parser.add_argument("--seconds", type=int, default=600, help="how long chaos goes on with each seed (600)")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="chaos's (1 2 3)")
    parser.add_argument("--no-load", action="store_true", help="leave the load out")
    given = parser.parse_args()
    os.chdir(ROOT)
    record = Record()
    failed = pytest.main(["-q", "-p", "no:randomly", f"--count={given.count}", *TESTS], plugins=[record])
    chaos = [
        printed(*f"tests.chaos --seconds {given.seconds} --writers 4 --clients 8 --seed {seed}".split())
        for seed in given.seeds
    ]
    load = [] if given.no_load else [printed("tests.load")]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    parts = [
        ABOUT.format(count=given.count, machine=machine),
        "## How long it takes\n",
        *times(record),
        "\n## Random edits and random faults\n",
        STALENESS,
        *chaos,
        *(["## Load\n", *load] if load else []),
        "## What else holds",
        *outcomes(record),
    ]
    (ROOT / "docs/reliability.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    return 1 if failed or any("exit code" in each for each in (*chaos, *load)) else 0


if __name__ == "__main__":
    sys.exit(main())
