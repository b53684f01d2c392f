"""What processes use, as Linux's /proc says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")


def family(parent: int) -> list[int]:
    """A process and its children."""
    pids = [int(each.name) for each in PROC.iterdir() if each.name.isdecimal()]
    return [parent] + [pid for pid in pids if _parent(pid) == parent]


def cpu_seconds(pids: list[int]) -> float:
    """What they have used until now, in user mode and in the kernel, and what their children had that have ended."""
    return sum(int(ticks) for pid in pids for ticks in _stat(pid)[11:15]) / TICK


def resident_mb(pid: int | None = None) -> float:
    """Of this process if none is given."""
    pages = int((PROC / str(pid or os.getpid()) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def own_mb(pids: list[int]) -> float:
    """All of them together, in which memory that they share counts once: what a server's processes are."""
    lines = [line for pid in pids for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 2**10


def descriptors() -> int:
    """The open ones of this process."""
    return len(list((PROC / "self" / "fd").iterdir()))


def settled(count: Callable[[], int], most: int) -> int:
    """It, after some patience if it is more: a thread that was late, for want of a processor, is about to end."""
    deadline = time.monotonic() + 10
    while (now := count()) > most and time.monotonic() < deadline:
        time.sleep(0.005)
    return now


def _parent(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return None


def _stat(pid: int) -> list[str]:
    # The name before it may hold spaces and brackets.
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
