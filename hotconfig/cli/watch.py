"""watch: the history as it is made."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Annotated

import typer

from hotconfig import _follow
from hotconfig.admin import Admin
from hotconfig.cli import known, options, output
from hotconfig.cli.app import verb
from hotconfig.errors import HotConfigError


@verb("hotconfig watch ai_infra --since 0 --json")
def watch(
    path: Annotated[str | None, typer.Argument(help="Only edits of this part, such as prompts.")] = None,
    *,
    since: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Begin after this version (default: the newest)")
    ] = None,
    profile: options.OnlyProfile = None,
    document: options.Document = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Follow the history, every version once, until Ctrl-C; also while the server restarts."""
    name = options.document_name(profile, document)
    if name is not None or path is not None:
        with Admin(database, schema=schema) as admin:
            known.check(admin, name, path)
    what = " ".join([path or "everything", *([] if name is None else ["of", output.shown(name)])])
    try:
        with closing(_follow.follow(database, schema=schema, since=since, document=name, path=path)) as versions:
            for version in versions:
                if isinstance(version, HotConfigError):
                    output.warn(str(version))
                elif isinstance(version, int):
                    if sys.stderr.isatty():
                        output.hint(f"following {what} from version {version} on, until Ctrl-C")
                elif as_json:
                    for edit in version:
                        output.print_json(output.edit_as_json(edit))
                else:
                    output.print_history(version)
    except KeyboardInterrupt:
        pass  # the way to end it
