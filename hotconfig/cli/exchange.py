"""Verbs for profiles in files: export, import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hotconfig import _exchange, _notation
from hotconfig._content import PROFILE
from hotconfig._edits import Written
from hotconfig._notation import Notation
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.app import verb
from hotconfig.cli.waiting import wait_after_commit
from hotconfig.errors import HotConfigError, InvalidConfig

SUFFIXES: Mapping[str, Notation] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


@verb("hotconfig export config.yaml")
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="It is replaced; - is standard output.")] = "-",
    *,
    profile: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this profile; may be repeated (default: all)")
    ] = None,
    notation: Annotated[
        str | None, typer.Option("--format", metavar="yaml|json", help="Default: as the file's name says, or yaml")
    ] = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Write profiles as YAML or JSON, for Git: the same configuration is always the same text."""
    if notation not in (None, "yaml", "json"):
        raise ValueError(f"--format {notation}: there are yaml and json")
    printed = "json" if as_json and file == "-" else SUFFIXES.get(Path(file).suffix, "yaml")
    with _busy("exporting"), Admin(database, schema=schema) as admin:
        data = admin.export(profile)
    pieces = (text.encode() for text in _notation.dump(data, cast(Notation, notation or printed)))
    if file == "-":
        sys.stdout.flush()
        sys.stdout.buffer.writelines(pieces)  # UTF-8, whatever the terminal is
        sys.stdout.flush()
    else:
        _replace(Path(file).resolve(), pieces)
    profiles = cast(dict[str, dict[str, object]], data["profiles"])
    for name, settings in profiles.items():
        if lacking := [domain for domain in _exchange.RELATIONS if domain not in settings]:
            output.warn(f'profile "{name}" has no {" and no ".join(lacking)}, and can only be imported with them')
    if file != "-" and as_json:
        output.print_json({"file": file, "profiles": list(profiles)})
    elif file != "-":
        output.say(f"{len(profiles)} profile{'s' if len(profiles) != 1 else ''} -> {file}")


@verb("hotconfig import config.yaml --dry-run", name="import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="As `hotconfig export` writes it; - is standard input.")],
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Delete the profiles that are not in the file.")] = False,
    yes: options.Yes = False,
    by: options.By = None,
    note: options.Note = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = None,
    expect_version: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Refuse, with exit code 4, if a profile of the file has changed after version N."
        ),
    ] = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Make profiles what a file says: all of it in one version, or nothing."""
    options.check_wait(wait, dry_run=dry_run)
    ask = options.asks(yes=yes, dry_run=dry_run, as_json=as_json or file == "-")
    with _busy(f"reading {file}"):
        data = _read(file, prune=prune, as_json=as_json)
    if ask:
        with Admin(database, schema=schema, dry_run=True) as admin:
            with _busy("comparing"):
                preview = admin.import_(data, prune=prune, expect_version=expect_version)
            if preview.edits:
                _report(admin, preview, dry_run=True)
                if not typer.confirm("Import this?"):
                    raise typer.Abort
            # What is approved is what is written: somebody's edit in between makes a conflict.
            expect_version = preview.version - 1 if preview.edits else preview.version
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        with _busy("importing"):
            written = admin.import_(data, prune=prune, expect_version=expect_version)
        _report(admin, written, dry_run=dry_run, as_json=as_json, wait=wait, changes=not ask)


def _read(file: str, *, prune: bool, as_json: bool) -> Mapping[str, object]:
    """What a file says. Raises InvalidConfig; every problem is a line of its own, unless that is JSON."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    guess: Notation = "json" if content.lstrip().startswith(b"{") else "yaml"
    text = _notation.Text(content, "stdin" if file == "-" else file, SUFFIXES.get(Path(file).suffix, guess))
    _, problems = _exchange.examined(text.data, prune=prune)
    found = [(text.place(problem.at), str(problem)) for problem in problems]
    for at, line, before in text.twice():
        found.append((line, str(_exchange.Problem(at, f"is there twice, before in line {before + 1}"))))
    if found:
        lines = [text.at_line(line, message) for line, message in sorted(found)]
        if as_json or len(lines) == 1:
            raise InvalidConfig("nothing was saved: " + "; ".join(lines))
        for each in lines:
            output.failure(each)
        raise InvalidConfig(f"nothing was saved: {file} has {len(lines)} mistakes")
    return cast(Mapping[str, object], text.data)


def _report(
    admin: Admin,
    written: Written,
    *,
    dry_run: bool,
    as_json: bool = False,
    wait: float | None = None,
    changes: bool = True,
) -> None:
    if not as_json:
        with output.whoever_reads():
            _say(written, dry_run=dry_run, changes=changes)
    waited = None if wait is None else wait_after_commit(admin, written.version, wait)
    if as_json:
        names = [(document.removeprefix(PROFILE), old) for document, old in sorted(written.old_versions.items())]
        told: dict[str, Any] = {
            "version": written.version,
            "dry_run": dry_run,
            "profiles": [{"profile": name, "old_version": old} for name, old in names],
            "edits": [output.edit_as_json(edit) for edit in written.edits],
        }
        with output.whoever_reads():
            output.print_json(told if waited is None else {**told, "waited": waited.as_json()})
    if waited is not None:
        waited.conclude(as_json=as_json)


def _say(written: Written, *, dry_run: bool, changes: bool) -> None:
    if not written.edits:
        output.say(f"version {written.version}, nothing differs")
    for document, group in groupby(written.edits, key=lambda edit: edit.document):
        edits = list(group)
        what = next((edit.action for edit in edits if edit.domain == "profile" and edit.action != "update"), "")
        output.say(
            f"{output.shown(document)}: version {written.old_versions[document]} -> ",
            (str(written.version), "bold"),
            (f", {what}" if what else "", "yellow"),
            (", dry run: nothing was saved" if dry_run else "", "yellow"),
        )
        if changes and what not in ("create", "delete"):  # those are in the file, or in the history
            output.print_changes(edits)


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file as a whole or not at all."""
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    special = path.exists() and not path.is_file()  # such as /dev/stdout, which nobody may replace
    try:
        with (path if special else whole).open("wb") as file:
            file.writelines(pieces)
        if not special:
            whole.replace(path)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise HotConfigError(f"{path}: {error.strerror}. Next: name a file that can be written.") from None


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """A bar on a terminal while something takes its time; how long the database will take nobody knows."""
    console = output.console(sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(output.printable(what), total=None)
        yield
