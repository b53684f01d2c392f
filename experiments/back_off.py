"""How long after an outage a client is back, and how often it tries meanwhile, by how it pauses between two tries.

python experiments/back_off.py [rounds]
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable

from hotconfig._feed import FIRST, GROWTH, LONGEST

Pause = Callable[[int], float]
"""Seconds before the next try, after so many that failed."""

PAUSES: dict[str, Pause] = {
    "0 to all of 0.1 s, doubled up to 30 s": lambda failures: random.uniform(0, min(30, 0.1 * 2**failures)),
    "0 to all of 0.1 s, doubled up to 5 s": lambda failures: random.uniform(0, min(5, 0.1 * 2**failures)),
    "0 to all of 0.2 s, times 8 up to 5 s": lambda failures: random.uniform(0, min(5, 0.2 * 8**failures)),
    "hotconfig's": lambda failures: min(LONGEST, FIRST * GROWTH**failures) * random.uniform(0.5, 1),
}
OUTAGES = 0.1, 1.0, 10.0, 60.0  # seconds
WHILE = 5.0  # seconds in which tries are counted


def late(pause: Pause, outage: float) -> float:
    """Seconds from the end of the outage to the first try after it."""
    now, failures = pause(0), 0
    while now < outage:
        failures += 1
        now += pause(failures)
    return now - outage


def tries(pause: Pause) -> int:
    now, failures = pause(0), 0
    while now < WHILE:
        failures += 1
        now += pause(failures)
    return failures


def main(rounds: int) -> None:
    for name, pause in PAUSES.items():
        print(f"{name}: {statistics.mean(tries(pause) for _ in range(rounds)):.1f} tries in {WHILE:g} s")
        for outage in OUTAGES:
            seconds = sorted(late(pause, outage) for _ in range(rounds))
            print(
                f"    after {outage:g} s: median {seconds[rounds // 2]:.2f} s, 95 % {seconds[rounds * 95 // 100]:.1f} s"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20000)
