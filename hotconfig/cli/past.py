"""Verbs about the past: history, diff."""

from __future__ import annotations

import csv
import functools
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Annotated, Any

import typer

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Edit
from hotconfig.admin import Admin
from hotconfig.cli import known, options, output
from hotconfig.cli.app import verb
from hotconfig.cli.difference import differing, print_difference
from hotconfig.errors import NoSuchDocument
from hotconfig.snapshot import join_path

VERSIONS = 100
PAGE = 200  # rows that are asked for at a time
COLUMNS = ("id", "version", "at", "actor", "note", "document", "domain", "action", "path", "old", "new")


@verb("hotconfig history --path ai_infra --since 2025-01-01 --limit 5")
def history(
    *,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"How many versions, each as a whole (default: {VERSIONS})"),
    ] = None,
    before: Annotated[
        int | None, typer.Option(metavar="ID", help="Only what is older than the edit with this id: the next page.")
    ] = None,
    profile: options.OnlyProfile = None,
    document: options.Document = None,
    domain: Annotated[str | None, typer.Option(metavar="NAME", help="Only this domain, such as prompts.")] = None,
    path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Only edits of this part, such as ai_infra.llm_temperature.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="WHO", help="Only edits of this person.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only from this time on (ISO 8601; local, unless it names a zone)."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only until this time (ISO 8601; local, unless it names a zone).")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a row for each field that was changed.")] = False,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Show who changed what, the newest first."""
    if as_csv and as_json:
        raise ValueError("give --csv or --json, not both")
    name = options.document_name(profile, document)
    first, last = options.time(since), options.time(until)
    oldest = None
    with Admin(database, schema=schema) as admin:
        pages = functools.partial(
            admin.history, document=name, domain=domain, actor=by, path=path, since=first, until=last, limit=PAGE
        )
        versions = groupby(_newest(pages, before), lambda edit: edit.version)
        if as_csv:
            _print_row(COLUMNS)
        for _, rows in islice(versions, limit or VERSIONS):
            edits = list(rows)
            oldest = edits[-1].id
            if as_csv:
                _print_csv(edits)
            elif as_json:
                for edit in edits:
                    output.print_json(output.edit_as_json(edit))
            else:
                output.print_history(edits)
        more = next(versions, None) is not None
        if oldest is None:
            known.check(admin, name, path)
            if not (as_csv or as_json):
                output.hint("the history has nothing of this kind")
    if more and (limit is None or sys.stderr.isatty()):
        output.hint(f"there are older ones: add --before {oldest}")


def _newest(pages: Callable[..., list[Edit]], before: int | None) -> Iterator[Edit]:
    """All edits, read as they are asked for: no transaction is open while whoever reads this takes time."""
    while page := pages(before=before):
        yield from page
        before = page[-1].id


def _print_csv(edits: Iterable[Edit]) -> None:
    """Values as JSON; an edit without fields, such as the deletion of an empty domain, is a row too."""
    for edit in edits:
        first = (edit.id, edit.version, edit.at.isoformat())
        texts = [_harmless(text) for text in (edit.actor, edit.note or "", edit.document, edit.domain, edit.action)]
        for field, (old, new) in sorted(edit.changes.items()) or [("", (None, None))]:
            path = join_path([edit.domain, field] if field else [edit.domain])
            values = ["" if value is None else json.dumps(value, ensure_ascii=False) for value in (old, new)]
            _print_row([*first, *texts, _harmless(path), *values])


def _print_row(cells: Iterable[object]) -> None:
    """As RFC 4180 has it."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    sys.stdout.write(output.printable(line.getvalue()) if sys.stdout.isatty() else line.getvalue())


def _harmless(text: str) -> str:
    # A spreadsheet would take it for a formula (OWASP, CSV injection). A value cannot be: JSON quotes texts.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


@verb("hotconfig diff 1")
def diff(
    a: Annotated[
        int | None, typer.Argument(metavar="A", help="The older version (default: the one before the newest change)")
    ] = None,
    b: Annotated[int | None, typer.Argument(metavar="B", help="The newer version (default: now)")] = None,
    *,
    profile: options.Profile = None,
    document: options.Document = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Show what differs between two versions of a profile; texts line by line."""
    with Admin(database, schema=schema) as admin:
        name = options.document_or_default(profile, document)
        if name == ACTIVE:
            name = PROFILE + admin.document(ACTIVE)["profile"]["name"]
        if a is not None:
            old, new = admin.document(name, version=a), admin.document(name, version=b)
        elif newest := admin.history(document=name, limit=1):
            (edit,) = newest
            old, new = _at(admin, name, edit.version - 1), {"version": edit.version, **_at(admin, name, edit.version)}
        else:
            known.check(admin, name)
            old = new = admin.document(name)
    between = old.setdefault("version", 0), new["version"]
    old, new = (output.ordered(name, each) for each in (old, new))
    del old["version"], new["version"]
    if as_json:
        changes = {path: {"old": before, "new": after} for path, before, after in differing(old, new)}
        output.print_json({"document": name, "old_version": between[0], "version": between[1], "changes": changes})
    else:
        same = "" if old != new else ", nothing differs"
        output.say(f"{output.shown(name)}: version {between[0]} -> ", (str(between[1]), "bold"), same)
        print_difference(old, new)


def _at(admin: Admin, name: str, version: int) -> dict[str, Any]:
    """A document at a version; empty if it was not there yet, or any more."""
    try:
        return admin.document(name, version=version)
    except NoSuchDocument:
        return {}
