"""What a subject found out: figures, and what was violated."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Report:
    subject: str
    figures: dict[str, tuple[float | list[float], str]] = field(default_factory=dict)
    """By name: the value and its unit."""
    violations: list[str] = field(default_factory=list)

    def figure(self, name: str, value: float | Sequence[float], unit: str = "") -> None:
        shown = [_rounded(each) for each in value] if isinstance(value, Sequence) else _rounded(value)
        self.figures[name] = shown, unit

    def times(self, name: str, seconds: Sequence[float]) -> None:
        """Three figures of how long something took."""
        if not seconds:
            self.violations.append(f"{name}: nothing was measured")
            return
        ordered = sorted(seconds)
        self.figure(f"{name}, median", statistics.median(ordered), "s")
        self.figure(f"{name}, p99", ordered[int(len(ordered) * 0.99)], "s")
        self.figure(f"{name}, worst", ordered[-1], "s")

    def number(self, name: str) -> float:
        value, _ = self.figures[name]
        assert not isinstance(value, list)
        return value

    def require(self, holds: object, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    def lines(self) -> list[str]:
        figures = [f"{name}: {_text(value)} {unit}".rstrip() for name, (value, unit) in self.figures.items()]
        violations = [f"VIOLATED: {each}" for each in self.violations[:20]]
        if more := len(self.violations[20:]):
            violations.append(f"VIOLATED: and {more} more")
        return [f"{self.subject}: {line}" for line in figures + violations]

    def as_json(self) -> dict[str, object]:
        figures = {name: {"value": value, "unit": unit} for name, (value, unit) in self.figures.items()}
        return {"figures": figures, "violations": self.violations}


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _text(value: float | list[float]) -> str:
    return " ".join(map(_text, value)) if isinstance(value, list) else str(value)
