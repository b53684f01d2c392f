"""doctor: is everything as it should be?"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hotconfig._edits import told
from hotconfig.cli import options, output
from hotconfig.cli.app import FAILED, verb
from hotconfig.errors import HotConfigError
from hotconfig.snapshot import Snapshot

if TYPE_CHECKING:
    from hotconfig._place import Finding

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


@verb("hotconfig doctor --json")
def doctor(
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Publish documents that are behind their tables; all else is only told.")
    ] = False,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PACKAGE:CLASS", help="Validate the document with this model too, found from the current directory."
        ),
    ] = None,
    document: Annotated[
        str | None, typer.Option(metavar="NAME", help="The document that the model is for (default: the profile)")
    ] = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Check the whole way of an edit; exit code 1 if something is broken."""
    if document is not None and model is None:
        raise ValueError("--document is for --model PACKAGE:CLASS")
    if not fix and (by or note or dry_run):
        raise ValueError("--by, --note and --dry-run are for --fix")
    checked = None if model is None else (_imported(model), options.document_or_default(None, document))
    mended = partial(_mended, database=database, schema=schema, by=by, note=note, dry_run=dry_run)
    findings = []
    for found in _found(database, schema, checked):
        finding = mended(found) if fix else found
        findings.append(finding)
        if not as_json:
            with output.whoever_reads():  # the exit code counts too
                _say(finding)
    failed = any(finding.state == "failure" for finding in findings)
    if as_json:
        with output.whoever_reads():
            output.print_json({"healthy": not failed, "findings": [asdict(finding) for finding in findings]})
    if failed:
        raise typer.Exit(FAILED)


def _say(finding: Finding) -> None:
    output.say((f"{finding.state:<8}", STYLES[finding.state]), f"{finding.check:<14}{finding.text}")
    if finding.state != "ok":
        output.say(f"{'':22}why: {finding.why}")
        output.say(f"{'':22}do:  ", (finding.mend, "cyan"))


def _found(database: str | None, schema: str | None, model: tuple[type[Snapshot], str] | None) -> Iterator[Finding]:
    # Late: it looks at the migrations, and Alembic takes as long to load as all else.
    from hotconfig import _doctor
    from hotconfig._fits import fits

    yield from _doctor.findings(database, schema=schema)
    if model is not None:
        yield fits(*model, database, schema=schema)


def _mended(
    finding: Finding, *, database: str | None, schema: str | None, by: str | None, note: str | None, dry_run: bool
) -> Finding:
    """The finding as it is behind what can be mended safely; in a dry run, with what would be published."""
    from hotconfig import _mend

    if finding.check != "documents" or finding.state != "failure" or "config_touch" not in finding.mend:
        return finding
    try:
        written = _mend.publish_again(database, schema=schema, actor=by, note=note, dry_run=dry_run)
    except HotConfigError as error:
        return replace(finding, text=f"{finding.text}; {error}")
    if dry_run:
        return replace(finding, text=" ".join([f"{finding.text}; --fix would publish:", *told(written.edits)]))
    return replace(finding, state="ok", text=f"published again, version {written.version}: {finding.text}", mend="")


def _imported(model: str) -> type[Snapshot]:
    """The class, as the application's own processes import it."""
    module, _, name = model.partition(":")
    sys.path.insert(0, "")  # the program's own directory stands there, and not the one it is called in
    try:
        if not (module and name):
            raise ImportError("it is no PACKAGE:CLASS")
        found: object = importlib.import_module(module)
        for step in name.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--model {model}: {error}; right is for example myapp.config:TalkerConfig") from None
    except Exception as error:  # the application's own: whatever hinders here hinders its processes too
        raise HotConfigError(f"--model {model}: cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, Snapshot):
        raise ValueError(f"--model {model} is no subclass of hotconfig.Snapshot")  # noqa: TRY004  # usage
    return found
