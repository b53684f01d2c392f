"""What every write prints: `profile "default": version 41 -> 42`, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Edit, Written
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.waiting import wait_after_commit


def report(
    admin: Admin,
    profile: str | None,
    written: Written,
    *,
    dry_run: bool,
    as_json: bool,
    wait: float | None = None,
    changes: bool = True,
) -> None:
    """A line for each profile that a write changed; `profile` is the one that was meant, as it is called now.

    Then waits for the fleet, `wait` seconds at most. Raises NotEverywhere if somebody has not got it by then.
    """
    options.check_wait(wait, dry_run=dry_run)
    documents = list(_documents(admin, profile, written))
    document, before, after = documents[0]
    if not as_json:
        for each in documents:
            _say(*each, written, dry_run=dry_run, changes=changes)
    waited = None if wait is None else wait_after_commit(admin, after, wait)
    if as_json:  # one object: it has all edits
        told: dict[str, object] = {
            "profile": document.removeprefix(PROFILE),
            "old_version": before,
            "version": after,
            "dry_run": dry_run,
            "edits": [output.edit_as_json(edit) for edit in written.edits],
        }
        output.print_json(told if waited is None else {**told, "waited": waited.as_json()})
    if waited is not None:
        waited.conclude(as_json=as_json)


def _documents(admin: Admin, profile: str | None, written: Written) -> Iterator[tuple[str, int, int]]:
    """Each document that was written, its version before and after; the one that was meant comes first.

    An activation changes the one that was the default, too. If nothing differed, it is the one that was meant.
    """
    first_rows = {edit.document: edit for edit in reversed(written.edits)}
    if not first_rows:
        found = admin.document(ACTIVE if profile is None else PROFILE + profile)
        yield PROFILE + found["profile"]["name"], found["version"], found["version"]
    for first in sorted(first_rows.values(), key=lambda edit: (edit.document != PROFILE + (profile or ""), edit.id)):
        # Not asked before the write: somebody else might have made a version in between.
        earlier = admin.history(document=_name_before(first.document, written), before=first.id, limit=1)
        yield first.document, earlier[0].version if earlier else 0, written.version


def _of_itself(document: str, written: Written) -> Edit | None:
    """What was done to the profile as such, if anything was."""
    return next((edit for edit in written.edits if edit.document == document and edit.domain == "profile"), None)


def _name_before(document: str, written: Written) -> str:
    """What a document was called before it was written."""
    edit = _of_itself(document, written)
    old, _ = (None, None) if edit is None else edit.changes.get("name", (None, None))
    return PROFILE + old if isinstance(old, str) else document


def _say(document: str, before: int, after: int, written: Written, *, dry_run: bool, changes: bool) -> None:
    name = document.removeprefix(PROFILE)
    if not written.edits:
        output.say(f'profile "{name}": version {after}, nothing differs')
        return
    itself = _of_itself(document, written)
    output.say(
        f'profile "{name}": version {before} -> ',
        (str(after), "bold"),
        ", deleted" if itself is not None and itself.action == "delete" else "",
        (", dry run: nothing was saved" if dry_run else "", "yellow"),
    )
    if changes:
        output.print_changes(edit for edit in written.edits if edit.document == document)
