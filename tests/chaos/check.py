"""What the readers' logs and the history must have to do with each other."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .edits import FORBIDDEN, Writer
from .pair import Failover, Pair
from .reader import identity, model

CLOCKS = 0.05
"""Seconds that a log's time may be before that of the transaction: it is taken when the version is made."""


@dataclass
class Report:
    checked: int = 0
    staleness: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class Truth:
    """Every (document, version, content) that there was, also what a failover took back."""

    def __init__(self, rows: list[dict[str, Any]], failovers: list[Failover]) -> None:
        self.contents: set[tuple[str, int, str]] = set()
        self.published: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for timeline in (rows, *(each.lost for each in failovers)):
            self._add(timeline)

    def _add(self, rows: Iterable[dict[str, Any]]) -> None:
        last = {(row["document"], row["version"]): row for row in rows}
        for (document, version), row in last.items():
            self.published[document].append((version, row["timestamp"].timestamp()))
            try:
                snapshot = model(document).model_validate({**row["snapshot"], "version": version})
            except ValidationError:
                continue  # an incomplete profile: nobody may show it
            self.contents.add(identity(snapshot))

    def stale_since(self, documents: set[str], after: int, until: int) -> float | None:
        """When the first version behind `after` came that changed one of the documents."""
        times = [at for name in documents for version, at in self.published[name] if after < version <= until]
        return min(times, default=None)


def check(pair: Pair, logs: dict[str, list[Path]], writers: list[Writer]) -> Report:
    report = Report()
    rows = pair.history()
    truth = Truth(rows, pair.failovers)
    for document, paths in logs.items():
        for path in paths:
            _check_log(f"{document} {path.stem}", path, truth, pair.failovers, report)
    _check_history(rows, pair, writers, report)
    return report


def _check_log(name: str, path: Path, truth: Truth, failovers: list[Failover], report: Report) -> None:
    seen: tuple[str, int, str] | None = None
    given: tuple[str, int, str] | None = None
    back = 0
    for line in path.read_text("utf-8").splitlines():
        event = json.loads(line)
        if event["what"] == "seen":
            now = (*event["snapshot"],)
            report.checked += 1
            if now not in truth.contents:
                report.violations.append(f"{name}: showed {now}, which never was")
            if seen is not None and now[1] <= seen[1]:
                back += 1
                if not any(each.at - 1.0 < event["at"] for each in failovers):
                    report.violations.append(f"{name}: stepped back from {seen} to {now} before any failover")
            elif seen is not None:
                since = truth.stale_since({seen[0], now[0]}, seen[1], now[1])
                if since is None or event["at"] < since - CLOCKS:
                    report.violations.append(f"{name}: showed {now} before it was published")
                else:
                    report.staleness.append(max(0.0, event["at"] - since))
            seen = now
        elif event["what"] == "told":
            old, new = (*event["old"],), (*event["new"],)
            if given is not None and old != given:
                report.violations.append(f"{name}: told of a change from {old}, though {given} was given last")
            if old[2] == new[2] and old[0] == new[0]:
                report.violations.append(f"{name}: told of {new}, which is what it had")
            given = new
    if given is not None and seen is not None and given != seen:
        report.violations.append(f"{name}: shows {seen}, but its subscriber was last told of {given}")
    if given is None:
        report.violations.append(f"{name}: its subscriber was told of nothing")
    if back > len(failovers):
        report.violations.append(f"{name}: {back} steps back, but {len(failovers)} failovers")


def _check_history(rows: list[dict[str, Any]], pair: Pair, writers: list[Writer], report: Report) -> None:
    versions = sorted({row["version"] for row in rows})
    if versions != list(range(1, pair.version() + 1)):
        report.violations.append(f"history has {len(versions)} versions of {pair.version()}")
    if [row["version"] for row in rows] != sorted(row["version"] for row in rows):
        report.violations.append("history is not in the order of its versions")
    marks = {row["note"] for row in rows}
    lost = {row["note"] for each in pair.failovers for row in each.lost}
    for writer in writers:
        report.violations += writer.surprises
        for mark in sorted(writer.confirmed - marks - lost):
            report.violations.append(f"edit {mark} was confirmed, and is in no history")
        for mark in sorted(writer.rolled_back & (marks | lost)):
            report.violations.append(f"edit {mark} was rolled back, and is in the history")
    for row in (*rows, *(row for each in pair.failovers for row in each.lost)):
        if row["snapshot"].get("ai_infra", {}).get("llm_max_tokens", 0) >= FORBIDDEN:
            report.violations.append(f"version {row['version']} has what was rolled back to a savepoint")
    stale = pair.primary.psql("chaos", "SELECT config_touch(); SELECT version FROM config_state").split()[-1]
    if int(stale) != versions[-1]:
        report.violations.append("documents were behind their tables: config_touch() made a version")
