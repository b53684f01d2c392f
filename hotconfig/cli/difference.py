"""How two documents differ, for people: a line for a value, a unified diff for a text of several lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from hotconfig import _edits
from hotconfig.cli import output
from hotconfig.snapshot import join_path

STYLES = {"+": "green", "-": "red", "@": "cyan"}
Leaf = tuple[str, object, object]


def print_difference(old: Mapping[str, object], new: Mapping[str, object]) -> None:
    """Print every path at which two nested mappings differ, in the order of `old`; nothing if none does.

    A text that has several lines, or is too long for one, is compared line by line and shown with the lines around.
    """
    for path, before, after in differing(old, new):
        texts = ["" if each is None else each for each in (before, after)]
        if isinstance(texts[0], str) and isinstance(texts[1], str) and any(map(_is_long, texts)):
            output.say(f"    {path}:")
            for line in _unified(texts[0], texts[1]):
                written = line.rstrip()
                # What is invisible at the end of a line may be all that differs.
                blanks = (line[len(written) :], f"{STYLES[line[0]]} reverse" if line[0] in "+-" else "")
                output.say("        ", (written, STYLES.get(line[0], "")), blanks)
        else:
            short = _edits.difference(before, after)
            output.say(f"    {path}: ", (short[0] or "nothing", "red"), " -> ", (short[1] or "nothing", "green"))


def differing(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Leaf]:
    """(path, old, new) for each leaf that differs; None for what is on one side only. A list is one value."""
    return _leaves(old, new, [])


def _leaves(old: Mapping[str, object], new: Mapping[str, object], steps: list[str]) -> Iterator[Leaf]:
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        # A section that is new or gone is shown field by field.
        below = [each if isinstance(each, Mapping) else {} if each is None else None for each in (before, after)]
        if (before or after) and below[0] is not None and below[1] is not None:
            yield from _leaves(below[0], below[1], [*steps, key])
        elif not _same(before, after):
            yield join_path([*steps, key]), before, after


def _same(old: object, new: object) -> bool:
    # True == 1, but they are two values in a document; 1 and 1.0 are not.
    return old == new and isinstance(old, bool) == isinstance(new, bool)


def _is_long(text: str) -> bool:
    return "\n" in text or len(text) > _edits.WIDTH


def _unified(old: str, new: str) -> Iterator[str]:
    # Not splitlines(), which also takes form feeds and others for the end of a line.
    before, after = (text.split("\n") if text else [] for text in (old, new))
    _, _, *lines = difflib.unified_diff(before, after, lineterm="")  # without the names of two files
    yield from lines
