"""Verbs that write profiles: set, rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from hotconfig import _values
from hotconfig._content import ACTIVE, PROFILE
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.app import verb
from hotconfig.cli.report import report
from hotconfig.errors import NoSuchProfile


@verb("hotconfig set ai_infra.llm_temperature=0.2 --by alice", name="set")
def set_(
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="PATH=VALUE", help="Text as it is, anything else as JSON; @FILE, @- for stdin."),
    ],
    *,
    profile: options.Profile = None,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Change settings of a profile: all that are given, in one version."""
    values = _values.assignments(assignments)
    name = options.profile_name(profile)
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.update(name, values, expect_version=expect_version)
        report(admin, name, written, dry_run=dry_run, wait=wait, as_json=as_json)


@verb("hotconfig rollback --to 1 --yes")
def rollback(
    *,
    to: Annotated[
        int | None,
        typer.Option(metavar="N", help="As it was at this version (default: as before its newest change)"),
    ] = None,
    yes: options.Yes = False,
    profile: options.Profile = None,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Make a profile what it was: a new version. Brings back a deleted one, too."""
    ask = options.asks(yes=yes, dry_run=dry_run, as_json=as_json)
    name = options.profile_name(profile)
    if ask:
        with Admin(database, schema=schema, dry_run=True) as admin:
            # What is approved is what is written: somebody's edit in between makes a conflict.
            expect_version = _version(admin, name) if expect_version is None else expect_version
            preview = admin.rollback(name, to=to, expect_version=expect_version)
        if preview.edits:
            output.print_changes(preview.edits)
            if not typer.confirm("Roll back?"):
                raise typer.Abort
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.rollback(name, to=to, expect_version=expect_version)
        report(admin, name, written, dry_run=dry_run, wait=wait, as_json=as_json, changes=not ask)


def _version(admin: Admin, profile: str | None) -> int | None:
    """The version of a profile's document; None: it was deleted."""
    try:
        version: int = admin.document(ACTIVE if profile is None else PROFILE + profile)["version"]
    except NoSuchProfile:
        return None
    return version
