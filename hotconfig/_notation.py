"""YAML and JSON, for what people review and edit: the same data are always the same text, and every key has its line.

PyYAML reads YAML; it does not write it here, since it gives up literal blocks where a line ends with a space or holds a
tab, as prompts do. Text is always quoted or a block, so that no reader can take it for anything else.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Literal

import yaml

from hotconfig.errors import InvalidConfig

Notation = Literal["yaml", "json"]
At = tuple[str, ...]

NESTED = 100  # more levels than that are no configuration
DEPTH = 4  # how many keys lead to a value of a profile; what is deeper needs no line

# What a block and a quoted text of YAML may hold as it is: printable, and no end of a line in any of YAML's versions.
_PRINTABLE = "\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe"
_BLOCK = re.compile(f"[\t\n{_PRINTABLE}]+")
_UNPRINTABLE = re.compile(f"[^{_PRINTABLE}]")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Words that one version of YAML or another takes for something else.
_OTHERS = {"y", "yes", "n", "no", "true", "false", "on", "off", "null"}
# What a YAML file must not hold: asked here, because libyaml counts its position in bytes.
_REFUSED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dump(data: Mapping[str, object], notation: Notation) -> Iterator[str]:
    """The text, in pieces."""
    if notation == "yaml":
        yield from _mapping(data, "")
    else:
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        # JSON allows them, and a terminal or an editor may obey them.
        yield re.sub("[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _mapping(data: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, value in data.items():
        name = key if _WORD.fullmatch(key) and key.lower() not in _OTHERS else f'"{_escaped(key)}"'
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:\n"
            yield from _mapping(value, indent + "  ")
        else:
            yield f"{indent}{name}: {scalar(value, indent + '  ')}\n"


def scalar(value: object, indent: str, *, block: bool = False) -> str:
    """A value of YAML as it stands behind its key; further lines of a text begin with `indent`, two blanks deeper.

    A text is a block if it has several lines, or if `block`; one that a block cannot hold is quoted, line by line.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    if not (block or "\n" in value) or not value.strip() or not _BLOCK.fullmatch(value):
        pieces = re.split(r"(?<=\n)(?!\Z)", value)
        quoted = '"' + f"\\\n{indent}".join(map(_escaped, pieces)) + '"'
        return quoted.replace(f"\n{indent} ", f"\n{indent}\\ ")  # else YAML drops the blanks that a line begins with
    lines = value.removesuffix("\n").split("\n")
    # Where the first line does not say how deep the block is, a number does; + and - say what becomes of its end.
    deep = "2" if value[0] in " \t\n" else ""
    end = "-" if not value.endswith("\n") else "" if lines[-1].strip() else "+"
    return f"|{deep}{end}\n" + "\n".join(indent + line if line else "" for line in lines)


def comment(text: str) -> str:
    """A line of YAML that says this to people."""
    return f"# {_UNPRINTABLE.sub(_escape, ' '.join(text.split()))}".rstrip()


def _escaped(text: str) -> str:
    return _UNPRINTABLE.sub(_escape, text.replace("\\", r"\\").replace('"', r"\""))


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    short = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


class Text:
    """A text that was read: what it says, and where.

    Attributes:
        name: of its file, for messages; None if they need no name.
        data: what it says. Of a key that is there twice only one value.
    """

    def __init__(self, content: bytes, name: str | None, notation: Notation) -> None:
        """Raises InvalidConfig, with the line, if it is neither."""
        self.name = name
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.invalid(content[: error.start].count(b"\n"), "not UTF-8 text") from None
        try:
            self.data, places = (self._yaml if notation == "yaml" else self._json)(text)
        except RecursionError:
            raise self.invalid(0, "nested too deeply") from None
        self._lines: dict[At, int] = {}
        self._twice: list[tuple[At, int, int]] = []
        for at, line in places:
            if at in self._lines:
                self._twice.append((at, line, self._lines[at]))
            self._lines[at] = line

    def place(self, at: At) -> int:
        """The line of a key, from 0 on; of what it would be in, if it is not there."""
        while at and at not in self._lines:
            at = at[:-1]
        return self._lines.get(at, 0)

    def twice(self) -> list[tuple[At, int, int]]:
        """Keys that are there again, with the line, and that of the one before."""
        return self._twice

    def at_line(self, line: int, message: object) -> str:
        """A message with its place, as compilers show it."""
        file = "line " if self.name is None else f"{self.name}:"
        return f"{file}{line + 1}: {message}"

    def invalid(self, line: int, message: object) -> InvalidConfig:
        return InvalidConfig(f"nothing was saved: {self.at_line(line, message)}")

    def _yaml(self, text: str) -> tuple[object, Iterable[tuple[At, int]]]:
        refused = _REFUSED.search(text)
        if refused:
            told = f"it must not hold U+{ord(refused[0]):04X}, write it as an escape in double quotes"
            raise self.invalid(text.count("\n", 0, refused.start()), f"no YAML: {told}")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            places = list(_yaml_places(node, ()))  # first, since what is merged is then added to the nodes
            return (None if node is None else loader.construct_document(node)), places
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            told = ", ".join(part for part in (error.context, error.problem) if part)
            lines = text.rstrip("\n").splitlines()
            line = min(mark.line, len(lines) - 1) if mark else 0  # what lacks its end is noticed behind it
            if mark and lines[line].startswith("\t", mark.column):
                told += ": indent with blanks, not with tabs"
            raise self.invalid(line, f"no YAML: {told}") from None
        finally:
            loader.dispose()

    def _json(self, text: str) -> tuple[object, Iterable[tuple[At, int]]]:
        try:
            data = _JSON.decode(text)
        except json.JSONDecodeError as error:
            raise self.invalid(error.lineno - 1, f"no JSON: {error.msg}") from None
        return data, _json_places(text) if isinstance(data, dict) else ()


# ---- YAML

_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]{0,17})", list("-+0123456789")),
    "float": (r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    "merge": (r"<<", ["<"]),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's is ten times as fast
    """Reads YAML 1.2's few types: `no` and 2026-01-01 are text, and no value raises anything but YAMLError."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's, which it fills
    yaml_constructors = {  # noqa: RUF012  # likewise
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag and tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }

    _depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:  # noqa: ARG002  # its
        # libyaml's composer has no limit of its own and would overflow the stack.
        self._depth += 1
        if self._depth > NESTED and current_node is not None:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", current_node.start_mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            if node.tag not in self.yaml_constructors:
                raise LookupError
            return super().construct_object(node, deep)
        except (ValueError, LookupError):  # PyYAML's, of a text that its tag does not fit
            told = f"the tag {node.tag} does not fit, and a value needs none"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from None


for _tag, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _yaml_places(node: yaml.Node | None, at: At) -> Iterator[tuple[At, int]]:
    if not isinstance(node, yaml.MappingNode) or len(at) == DEPTH:
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
            yield (*at, key.value), key.start_mark.line
            yield from _yaml_places(value, (*at, key.value))


# ---- JSON

_SPACE = re.compile(r"[ \t\n\r]*")
# What Python would take and no field can be is left as it stands, for the model to refuse with its line.
_JSON = json.JSONDecoder(parse_constant=str, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)


def _json_places(text: str) -> Iterator[tuple[At, int]]:
    """The keys of a text that is valid JSON."""
    ends = [found.start() for found in re.finditer("\n", text)]

    def places(at: At, here: int) -> Generator[tuple[At, int], None, int]:
        """Those of the object that begins here; returns where it ends."""
        here = after(here + 1)
        while text[here] != "}":
            key, end = _JSON.raw_decode(text, here)
            path = (*at, key)
            yield path, bisect(ends, here)
            here = after(after(end) + 1)  # behind the colon
            if text[here] == "{" and len(path) < DEPTH:
                here = yield from places(path, here)
            else:
                _, here = _JSON.raw_decode(text, here)
            here = after(here)
            if text[here] == ",":
                here = after(here + 1)
        return here + 1

    def after(here: int) -> int:
        found = _SPACE.match(text, here)
        return found.end() if found else here

    yield from places((), after(0))
