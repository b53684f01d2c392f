"""What the verbs print: text for people, in colour on a terminal; JSON for programs."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hotconfig._content import PROFILE
from hotconfig._edits import Edit, lines
from hotconfig._rows import section
from hotconfig.profile import ProfileConfig

# What controls a terminal, or the direction of what follows; lines and tabs do not.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Wide enough that nothing is folded where no terminal says how wide it is.
PIPED = 1_000_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704  # Rich would exit with 1; the program ends as any does whose reader has enough


def console(stream: TextIO | None = None) -> Console:
    """For one of the streams as it is now; Rich leaves colours out where they are not wanted."""
    stream = stream or sys.stdout
    width = None if stream.isatty() else PIPED
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(*parts: str | tuple[str, str]) -> None:
    """A line of texts, some with a style."""
    console().print(_text(*parts))


def warn(text: str) -> None:
    """One line on stderr."""
    console(sys.stderr).print(_text(("warning: ", "yellow"), " ".join(text.split())))


def hint(text: str) -> None:
    """One line on stderr, about what was printed."""
    console(sys.stderr).print(_text((" ".join(text.split()), "dim")))


def failure(message: str) -> None:
    """One line on stderr."""
    console(sys.stderr).print(_text(("error: ", "bold red"), " ".join(message.split())))


def failure_as_json(error: str, message: str, hint: str) -> None:
    print_json({"error": error, "message": " ".join(message.split()), "hint": hint}, sys.stderr)


def as_json(arguments: Sequence[str]) -> bool:
    """Whether JSON was asked for; looked up here because the arguments may be wrong elsewhere."""
    return "--json" in arguments


@contextmanager
def whoever_reads() -> Iterator[None]:
    """Within, it is no error that nobody reads any more, or that a disk is full: what was done is done."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        give_up_stdout()


def give_up_stdout() -> None:
    """What is printed from now on, and what is still in the buffer, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: object, stream: TextIO | None = None) -> None:
    """One value on one line, at once; escaped is what would control a terminal, or is not in its encoding."""
    stream = stream or sys.stdout
    utf_8 = codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    text = json.dumps(value, ensure_ascii=not utf_8, default=_plain)
    print(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text), file=stream, flush=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console().print(grid(headings, rows))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]]) -> Table:
    """Columns without lines; a cell may have a style."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        grid.add_column(heading)
    for row in rows:
        grid.add_row(*map(_text, row))
    return grid


def edit_as_json(edit: Edit) -> dict[str, object]:
    changes = {field: {"old": old, "new": new} for field, (old, new) in edit.changes.items()}
    return {**asdict(edit), "changes": changes}


def print_history(edits: Iterable[Edit]) -> None:
    """A heading for each version of a document, and a line for each path that it changed."""
    for (version, document), group in groupby(edits, key=lambda edit: (edit.version, edit.document)):
        rows = list(group)
        first = rows[0]
        what = next((edit.action for edit in rows if edit.domain == "profile" and edit.action != "update"), "")
        say(
            (str(version), "bold"),
            f"  {first.at.astimezone().isoformat(' ', 'seconds')}  {first.actor}  {document}",
            (f"  {what}" if what else "", "yellow"),
            f"  {first.note}" if first.note else "",
        )
        print_changes(rows)


def print_changes(edits: Iterable[Edit]) -> None:
    for edit in edits:
        for path, old, new in lines(edit):
            say(f"    {path}: ", (old or "nothing", "red"), " -> ", (new or "nothing", "green"))


def ordered(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A document, a profile's in the order of its model; a jsonb object has one of its own."""
    if not name.startswith(PROFILE):
        return dict(document)
    found: dict[str, Any] = {"version": document["version"]}
    for domain in ProfileConfig.model_fields:
        if isinstance(document.get(domain), Mapping):
            fields = [field for field in section(domain) if field in document[domain]]
            found[domain] = {field: document[domain][field] for field in fields}
    return found


def shown(document: str) -> str:
    """A document's name for people."""
    if document.startswith(PROFILE):
        return f'profile "{document.removeprefix(PROFILE)}"'
    return f'document "{document}"'


def raw(text: str) -> None:
    """A value and nothing else; unchanged, except that a terminal is not sent what would control it."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.write("\n")


def printable(text: str) -> str:
    """Without characters that control a terminal, or the direction of what follows; lines and tabs stay."""
    return CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _text(*parts: str | tuple[str, str]) -> Text:
    text = Text()
    for part in parts:
        plain, style = (part, "") if isinstance(part, str) else part
        text.append(printable(plain).replace("\n", "\\n"), style)  # a line stays one: nobody's name begins another
    return text


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in JSON")
