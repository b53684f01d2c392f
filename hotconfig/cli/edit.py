"""edit: a profile in the editor of whoever types. What was typed is never lost."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
import typer

from hotconfig._content import ACTIVE, PROFILE
from hotconfig._edits import Edit, Written
from hotconfig.admin import Admin
from hotconfig.cli import form, options, output
from hotconfig.cli.app import Interrupted, verb
from hotconfig.cli.difference import differing, print_difference
from hotconfig.cli.report import report
from hotconfig.errors import HotConfigError, InvalidConfig, VersionConflict


@verb("hotconfig edit --note 'shorter answers'")
def edit(
    *,
    profile: options.Profile = None,
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
    """Change a profile in $VISUAL, $EDITOR or vi. What differs is shown, then saved as one version."""
    options.check_wait(wait, dry_run=dry_run)
    ask = options.asks(yes=yes, dry_run=dry_run, as_json=as_json)
    name = options.profile_name(profile)
    # Closed before the editor opens: who types holds no connection.
    with Admin(database, schema=schema, dry_run=True) as admin:
        base = admin.document(ACTIVE if name is None else PROFILE + name)
        # Of another profile that becomes the default one meanwhile, nothing was typed.
        name = str(base["profile"]["name"])
        if expect_version is not None:
            admin.update(name, {}, expect_version=expect_version)
        head = _head(base, admin.history(document=PROFILE + name, limit=20))
    editor = _editor()
    with Admin(database, actor=by, note=note, schema=schema, dry_run=dry_run) as admin:
        with _draft(form.write(form.settings(base), head), keep=dry_run, as_json=as_json) as file:
            written = None
            while written is None:
                _run(editor, file, as_json=as_json)
                try:
                    written = _save(admin, base, file, ask=ask, as_json=as_json)
                except InvalidConfig as error:
                    if not ask:
                        raise
                    output.failure(str(error))
                    if not typer.confirm("Edit again?", default=True):
                        raise typer.Abort from None
        report(admin, name, written, dry_run=dry_run, as_json=as_json, wait=wait, changes=False)


def _save(admin: Admin, base: Mapping[str, Any], file: Path, *, ask: bool, as_json: bool) -> Written:
    """Check and save what differs from what was read, and nothing else."""
    before = form.settings(base)
    after, text = form.read(_content(file))
    changed = {path: new for path, _, new in differing(before, after)}
    if not changed:
        return Written(base["version"], (), {})
    form.check(base, after, text)
    if not as_json:
        print_difference(before, after)
    if ask and not typer.confirm("Save?"):
        raise typer.Abort
    try:
        return admin.update(base["profile"]["name"], changed, expect_version=base["version"])
    except VersionConflict:
        if not as_json:
            _print_theirs(admin, base)
        raise


def _print_theirs(admin: Admin, base: Mapping[str, Any]) -> None:
    """What somebody else has made of the profile meanwhile."""
    with suppress(HotConfigError):  # the conflict is what counts
        now = admin.document(PROFILE + base["profile"]["name"])
        output.say(("Somebody else was faster, and changed:", "bold"))
        print_difference(form.settings(base), form.settings(now))


def _head(base: Mapping[str, Any], edits: Iterable[Edit]) -> Iterator[str]:
    version = base["version"]
    last = next((edit for edit in edits if edit.version == version), None)
    by = "" if last is None else f", by {last.actor} on {last.at.astimezone().isoformat(' ', 'seconds')}"
    note = "" if last is None or last.note is None else f": {last.note}"
    yield f"{output.shown(PROFILE + base['profile']['name'])} at version {version}{by}{note}"
    yield "Save and quit: what differs is shown, and then saved. Quit without a change, and nothing happens."
    yield "A text behind | ends with one line break, behind |- with none, behind |+ with all that are there."


# ---- the file


@contextmanager
def _draft(text: str, *, keep: bool, as_json: bool) -> Iterator[Path]:
    """A private file with this text. If something was typed, an error leaves it and names it; `keep` does so always."""
    directory = Path(tempfile.mkdtemp(prefix="hotconfig-edit-"))  # what else an editor leaves there is private, too
    file = directory / "profile.yaml"
    given = text.encode()
    file.touch(0o600)
    file.write_bytes(given)

    def typed() -> Path | None:
        if file.exists() and file.read_bytes() != given:
            return file
        # What an editor that was killed had saved for such a case.
        return next((each for each in directory.iterdir() if each != file), None)

    try:
        yield file
    except (HotConfigError, typer.Abort, KeyboardInterrupt, OSError, sa.exc.SQLAlchemyError, psycopg.Error) as error:
        left = typed()
        if left is None:
            shutil.rmtree(directory)
            raise
        raise _naming(left, error) from error
    left = typed() if keep else None
    if left is None:
        shutil.rmtree(directory)
    else:
        (output.hint if as_json else output.say)(_place(left))


def _naming(file: Path, error: BaseException) -> HotConfigError:
    """The same error, which says where the text is."""
    if isinstance(error, HotConfigError):
        message, separator, step = str(error).partition(" Next: ")
        return type(error)(f"{message.rstrip('.')}. {_place(file)}.{separator}{step}")
    if isinstance(error, typer.Abort):
        message = "nothing was changed"
    elif isinstance(error, KeyboardInterrupt):
        return Interrupted(f"interrupted. {_place(file)}. Next: `hotconfig history` shows whether it was saved.")
    else:
        message = f"{type(error).__name__}: {error}"
    return HotConfigError(f"{message.rstrip('.')}. {_place(file)}.")


def _place(file: Path) -> str:
    return f"What you typed is in {file}"


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise HotConfigError("nothing was changed: the editor left no file") from None


# ---- the editor


def _editor() -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        command = os.environ.get(variable, "").strip()
        if command:
            try:
                return shlex.split(command)
            except ValueError as error:
                raise ValueError(f"{variable}: {error}") from None
    if sys.stdin.isatty() and shutil.which("vi"):
        return ["vi"]
    raise HotConfigError("there is no editor. Next: set EDITOR, for example EDITOR=nano.")


def _run(editor: Sequence[str], file: Path, *, as_json: bool) -> None:
    """Let somebody type. Raises HotConfigError if the editor says that it failed."""
    # Ctrl-C is for the editor. Not ignored, which it would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run([*editor, file], check=False, stdout=sys.__stderr__ if as_json else None)
    except OSError as error:
        raise HotConfigError(
            f"the editor {shlex.join(editor)} cannot be started: {error.strerror}. Next: set EDITOR to another one."
        ) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if file.exists():
        file.chmod(0o600)  # many editors write a new file
    if done.returncode:
        how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        raise HotConfigError(f"nothing was changed: the editor {shlex.join(editor)} ended with {how}")
