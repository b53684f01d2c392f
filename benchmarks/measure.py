"""Samples that are taken by turns, and the lines of a table that are made of them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["limit", "hotconfig", "beside", "peer"]
"""The least that it could cost, hotconfig, hotconfig otherwise than usual, somebody else."""

SCALE = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}


class LeftOut(Exception):
    """Somebody who cannot take part on this machine: who, and why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line: of many samples their median, else one measured value."""

    name: str
    kind: Kind
    unit: str
    median: float
    minimum: float | None = None
    p99: float | None = None
    count: int = 1
    ratio: float | None = None
    """The median to that of the limit."""
    percentiles: tuple[float, ...] = ()
    """The 1st to the 99th."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What is to be reached, and what was."""

    what: str
    at_most: float
    measured: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.at_most


@dataclass(slots=True)
class Curve:
    """Cost against size; for a plot."""

    name: str
    size: str
    unit: str
    points: dict[str, list[tuple[float, float]]]


@dataclass(slots=True)
class Table:
    """What one subject found."""

    title: str
    about: str
    figures: list[Figure] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the figures do not say by themselves, such as why something is not reached."""
    left_out: list[str] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    seconds: float = 0.0
    """That it took to measure."""

    def median(self, name: str) -> float:
        return next(each.median for each in self.figures if each.name == name)

    def p99(self, name: str) -> float:
        found = next(each.p99 for each in self.figures if each.name == name)
        assert found is not None
        return found


def by_turns(sides: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int = 0) -> dict[str, list[float]]:
    """A sample of each side, in seconds, as often as there are rounds: each round in another order.

    What else the machine does meets all sides alike; the first `warm_up` rounds do not count.
    """
    order = random.Random(0)
    samples: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for n in range(warm_up + rounds):
        order.shuffle(names)
        for name in names:
            sample = sides[name]()
            if n >= warm_up:
                samples[name].append(sample)
    return samples


def figure(name: str, kind: Kind, unit: str, seconds: Sequence[float], *, limit: Sequence[float] = ()) -> Figure:
    """The line of many samples, in seconds, and their ratio to the limit's."""
    values = sorted(each * SCALE[unit] for each in seconds)
    percentiles = tuple(statistics.quantiles(values, n=100, method="inclusive")) if len(values) > 1 else ()
    return Figure(
        name,
        kind,
        unit,
        statistics.median(values),
        values[0],
        percentiles[-1] if percentiles else values[0],
        len(values),
        statistics.median(seconds) / statistics.median(limit) if limit else None,
        percentiles,
    )
