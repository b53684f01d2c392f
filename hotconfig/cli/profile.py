"""profile: verbs that create, rename, describe, delete and activate profiles."""

from __future__ import annotations

from typing import Annotated

import typer

from hotconfig._content import PROFILE
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.app import app, verb
from hotconfig.cli.report import report

profiles = typer.Typer(help="Create, rename, describe, delete or activate a profile.")
app.add_typer(profiles, name="profile")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile.")]


@profiles.callback(invoke_without_command=True)
def _profile(context: typer.Context) -> None:
    """Create, rename, describe, delete or activate a profile."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@verb('hotconfig profile create night --from default --description "after 8 pm"', group=profiles)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="At most 100 characters, not taken.")],
    *,
    copy_from: Annotated[
        str | None,
        typer.Option("--from", metavar="PROFILE", help="Copy this profile's settings (default: those of init)"),
    ] = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)] = "",
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: Annotated[
        int | None,
        typer.Option(metavar="N", help="Refuse, with exit code 4, if the profile of --from is not at this version."),
    ] = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Create a profile. It is not the default one."""
    if expect_version is not None and copy_from is None:
        raise ValueError("--expect-version is of the profile that --from names: give both")
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.create_profile(
            name, copy_from=copy_from, description=description, expect_version=expect_version
        )
        report(admin, name, written, dry_run=dry_run, as_json=as_json, wait=wait)


@verb("hotconfig profile rename night evening", group=profiles)
def rename(
    name: Name,
    to: Annotated[str, typer.Argument(metavar="TO", help="Its new name.")],
    *,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Give a profile another name. Who follows the old one keeps its last snapshot, with an error."""
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.rename_profile(name, to, expect_version=expect_version)
        report(admin, to, written, dry_run=dry_run, as_json=as_json, wait=wait)


@verb('hotconfig profile describe night "from 8 pm to 6 am"', group=profiles)
def describe(
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is for.")],
    *,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Say what a profile is for."""
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.describe_profile(name, text, expect_version=expect_version)
        report(admin, name, written, dry_run=dry_run, as_json=as_json, wait=wait)


@verb("hotconfig profile delete night --yes", group=profiles)
def delete(
    name: Name,
    *,
    yes: options.Yes = False,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Delete a profile with its settings, never the default one. Its history stays; rollback brings it back."""
    ask = options.asks(yes=yes, dry_run=dry_run, as_json=as_json)
    if ask:
        with Admin(database, schema=schema, dry_run=True) as admin:
            # What is approved is what is deleted: somebody's edit in between makes a conflict.
            if expect_version is None:
                expect_version = int(admin.document(PROFILE + name)["version"])
            preview = admin.delete_profile(name, expect_version=expect_version)
        output.print_changes(preview.edits)
        if not typer.confirm(f"Delete {output.shown(PROFILE + name)}?"):
            raise typer.Abort
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.delete_profile(name, expect_version=expect_version)
        report(admin, name, written, dry_run=dry_run, as_json=as_json, wait=wait, changes=not ask)


@verb("hotconfig profile activate night", group=profiles)
def activate(
    name: Name,
    *,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: options.ExpectVersion = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Make a profile the default one, which everybody follows, live, who names none."""
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        written = admin.activate(name, expect_version=expect_version)
        report(admin, name, written, dry_run=dry_run, as_json=as_json, wait=wait)
