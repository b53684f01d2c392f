"""What every write prints: `profile "default": version 41 -> 42`, and what it changed."""

from __future__ import annotations

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Edit, Written
from hotconfig.admin import Admin
from hotconfig.cli import output


def report(
    admin: Admin, profile: str | None, written: Written, *, dry_run: bool, as_json: bool, changes: bool = True
) -> None:
    """A line for each profile that a write changed; `profile` is the one that was meant, as it is called now."""
    first_rows = {edit.document: edit for edit in reversed(written.edits)}
    if not first_rows:
        found = admin.document(ACTIVE if profile is None else PROFILE + profile)
        name, version = found["profile"]["name"], found["version"]
        if as_json:
            _print_json(name, version, version, written, dry_run=dry_run)
        else:
            output.say(f'profile "{name}": version {version}, nothing differs')
        return
    # The one that was meant comes first; an activation changes the one that was the default, too.
    for first in sorted(first_rows.values(), key=lambda edit: (edit.document != PROFILE + (profile or ""), edit.id)):
        document = first.document
        name = document.removeprefix(PROFILE)
        itself = next((edit for edit in written.edits if edit.document == document and edit.domain == "profile"), None)
        # Not asked before the write: somebody else might have made a version in between.
        earlier = admin.history(document=PROFILE + _name_before(itself, name), before=first.id, limit=1)
        before = earlier[0].version if earlier else 0
        if as_json:
            _print_json(name, before, written.version, written, dry_run=dry_run)
            return  # one object: it has all edits
        output.say(
            f'profile "{name}": version {before} -> ',
            (str(written.version), "bold"),
            ", deleted" if itself is not None and itself.action == "delete" else "",
            (", dry run: nothing was saved" if dry_run else "", "yellow"),
        )
        if changes:
            output.print_changes(edit for edit in written.edits if edit.document == document)


def _name_before(edit: Edit | None, name: str) -> str:
    """What a profile was called before an edit of itself, if there was one; `name` is what it is called after it."""
    old, _ = (None, None) if edit is None else edit.changes.get("name", (None, None))
    return old if isinstance(old, str) else name


def _print_json(name: str, before: int, after: int, written: Written, *, dry_run: bool) -> None:
    edits = [output.edit_as_json(edit) for edit in written.edits]
    output.print_json({"profile": name, "old_version": before, "version": after, "dry_run": dry_run, "edits": edits})
