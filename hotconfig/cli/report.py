"""What every write prints: `profile "default": version 41 -> 42`, and what it changed."""

from __future__ import annotations

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Written
from hotconfig.admin import Admin
from hotconfig.cli import output


def report(
    admin: Admin, profile: str | None, written: Written, *, dry_run: bool, as_json: bool, changes: bool = True
) -> None:
    """A line for each profile that a write changed; `profile` is the one that was meant."""
    first_rows = {edit.document: edit.id for edit in reversed(written.edits)}
    if not first_rows:
        found = admin.document(ACTIVE if profile is None else PROFILE + profile)
        name, version = found["profile"]["name"], found["version"]
        if as_json:
            _print_json(name, version, version, written, dry_run=dry_run)
        else:
            output.say(f'profile "{name}": version {version}, nothing differs')
        return
    for document, row in sorted(first_rows.items(), key=lambda item: item[1]):
        # Not asked before the write: somebody else might have made a version in between.
        before = next((edit.version for edit in admin.history(document=document, before=row, limit=1)), 0)
        name = document.removeprefix(PROFILE)
        if as_json:
            _print_json(name, before, written.version, written, dry_run=dry_run)
            return  # one object: it has all edits
        output.say(
            f'profile "{name}": version {before} -> ',
            (str(written.version), "bold"),
            (", dry run: nothing was saved" if dry_run else "", "yellow"),
        )
        if changes:
            output.print_changes(edit for edit in written.edits if edit.document == document)


def _print_json(name: str, before: int, after: int, written: Written, *, dry_run: bool) -> None:
    edits = [output.edit_as_json(edit) for edit in written.edits]
    output.print_json({"profile": name, "old_version": before, "version": after, "dry_run": dry_run, "edits": edits})
