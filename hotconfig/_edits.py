"""What was changed: rows of the history as Admin's callers see them, and as a line of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import sqlalchemy as sa

from hotconfig.models import ConfigHistory
from hotconfig.snapshot import join_path

Action = Literal["create", "update", "delete", "activate"]

# What a line shows of a value, in characters.
WIDTH = 60
BEFORE = 20  # of them before the first difference
TOLD = 5  # edits that a message shows

WENT = (ConfigHistory.action == "delete") & (
    ConfigHistory.snapshot.has_key(ConfigHistory.domain)
    | (ConfigHistory.changes == sa.literal({"": {"old": {}, "new": None}}, ConfigHistory.changes.type))
)
"""Whether a document went with a row of the history.

A row tells the document behind its change: if that still has the domain that was deleted, it is the last one before
the whole document went. An empty one had no domain, and its row says so.
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """One row of the history: what one version changed in one domain of one document.

    Attributes:
        id: the row's; `Admin.history` takes that of the last one as `before`.
        version: the one that it was part of.
        document: `profile/<name>`, or one of your own.
        domain: of a profile `profile`, `ai_infra`, `genie`, `mlflow` or `prompts`; of another document its top-level
            key, or nothing if an empty document came or went.
        action: `create`, `update`, `delete` or `activate`.
        actor: who; the database user, unless `Admin` or the setting `hotconfig.actor` named somebody.
        note: why, if anybody said.
        at: when it was published; aware.
        changes: field -> (old, new), None for what was not there; the empty field name stands for the domain itself.
    """

    id: int
    version: int
    document: str
    domain: str
    action: Action
    actor: str
    note: str | None
    at: datetime
    changes: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write made; a dry run returns the same.

    Attributes:
        version: the new version, or the present one if nothing differed.
        edits: the history rows that it made; none if nothing differed.
        old_versions: of each document that it changed, as it is called now, the version before; 0: there was none.
    """

    version: int
    edits: tuple[Edit, ...]
    old_versions: Mapping[str, int]


def edit_of(row: ConfigHistory) -> Edit:
    """A row of the history, as Admin's callers see it."""
    return Edit(
        id=row.id,
        version=row.version,
        document=row.document,
        domain=row.domain,
        action=cast(Action, row.action),
        actor=row.changed_by,
        note=row.note,
        at=row.timestamp,
        changes={field: (change["old"], change["new"]) for field, change in row.changes.items()},
    )


def lines(edit: Edit) -> Iterator[tuple[str, str, str]]:
    """(path, old, new) for each field that an edit changed, short enough for a line each; '' for what was not there."""
    for field, (old, new) in sorted(edit.changes.items()):
        path = join_path([edit.domain, field] if field else [edit.domain])
        yield path, *difference(old, new)


def told(edits: Sequence[Edit]) -> Iterator[str]:
    """A sentence for each edit, for whoever was too late; of many the first ones."""
    for edit in edits[:TOLD]:
        changed = (f"{path} {old or 'nothing'} -> {new or 'nothing'}" for path, old, new in lines(edit))
        yield f"Version {edit.version} by {edit.actor}: {', '.join(changed)}."
    if len(edits) > TOLD:
        yield f"And there are later ones, until version {edits[-1].version}."


def difference(old: object, new: object) -> tuple[str, str]:
    """Two values as JSON, cut to where they differ."""
    both = [json.dumps(value, ensure_ascii=False) if value is not None else "" for value in (old, new)]
    if max(map(len, both)) <= WIDTH:
        return both[0], both[1]
    same = next((i for i, (a, b) in enumerate(zip(*both, strict=False)) if a != b), 0)
    start = max(0, same - BEFORE)
    return _cut(both[0], start), _cut(both[1], start)


def _cut(text: str, start: int) -> str:
    cut = text[start : start + WIDTH]
    return f"{'…' if start and text else ''}{cut}{'…' if len(text) > start + WIDTH else ''}"
