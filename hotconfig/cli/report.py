"""What every write prints: `profile "default": version 41 -> 42`, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Written
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
        with output.whoever_reads():
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
        with output.whoever_reads():
            output.print_json(told if waited is None else {**told, "waited": waited.as_json()})
    if waited is not None:
        waited.conclude(as_json=as_json)


def _documents(admin: Admin, profile: str | None, written: Written) -> Iterator[tuple[str, int, int]]:
    """Each document that was written, its version before and after; the one that was meant comes first.

    An activation changes the one that was the default, too. If nothing differed, it is the one that was meant.
    """
    if not written.edits:
        found = admin.document(ACTIVE if profile is None else PROFILE + profile)
        yield PROFILE + found["profile"]["name"], found["version"], found["version"]
    old = written.old_versions
    for document in sorted(old, key=lambda document: document != PROFILE + (profile or "")):
        yield document, old[document], written.version


def _say(document: str, before: int, after: int, written: Written, *, dry_run: bool, changes: bool) -> None:
    name = document.removeprefix(PROFILE)
    if not written.edits:
        output.say(f'profile "{name}": version {after}, nothing differs')
        return
    edits = [edit for edit in written.edits if edit.document == document]
    deleted = any(edit.domain == "profile" and edit.action == "delete" for edit in edits)
    output.say(
        f'profile "{name}": version {before} -> ',
        (str(after), "bold"),
        ", deleted" if deleted else "",
        (", dry run: nothing was saved" if dry_run else "", "yellow"),
    )
    if changes:
        output.print_changes(edits)
