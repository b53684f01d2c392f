"""A profile as the text that somebody edits: YAML, with the rule of each field above it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hotconfig import _rows
from hotconfig.errors import InvalidConfig
from hotconfig.profile import ProfileConfig
from hotconfig.snapshot import join_path, split_path

Values = dict[str, dict[str, Any]]

TYPES = {str: "text", float: "number", int: "whole number", bool: "true or false"}
BOUNDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} characters",
    "max_length": "at most {} characters",
}
# Of YAML's types those that a setting can have; what it else takes for a time or a sign is text.
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
TEXT = {f"tag:yaml.org,2002:{name}" for name in ("timestamp", "value")}
# What a comment cannot have, or what would control a terminal.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def settings(document: Mapping[str, Any]) -> Values:
    """What of a profile's document can be set, in the order of the model; None for what it lacks."""
    values: Values = {}
    for domain, field in map(split_path, _rows.paths()):
        values.setdefault(domain, {})[field] = (document.get(domain) or {}).get(field)
    return values


def write(values: Values, head: Iterable[str]) -> str:
    """The text of these values; `read` reads exactly them. `head` are lines that stand above, as comments."""
    lines = [_comment(line) for line in head]
    about = _descriptions(ProfileConfig)
    for domain, fields in values.items():
        model: Any = ProfileConfig.model_fields[domain].annotation
        described = _descriptions(model)
        # No blank line above: behind a text that keeps all its line breaks it would be one more.
        lines += ["#", _comment(about.get(domain, "")), f"{domain}:"]
        for field, value in fields.items():
            rule = f"{described.get(field, field)} ({_rule(model.model_fields[field])})"
            block = domain == "prompts" or (isinstance(value, str) and "\n" in value)
            lines += [f"  {_comment(rule)}", f"  {field}: {_written(value, block=block)}"]
    # Behind the last text, so that an editor that takes blank lines off the end of a file does not change it.
    return "\n".join([*lines, "# The end."]) + "\n"


def read(text: str) -> tuple[Values, dict[str, int]]:
    """The values of a text, and to each path its line.

    Raises InvalidConfig that names the line: it is no YAML, or a setting is unknown, missing or there twice.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        lines: dict[str, int] = {}
        values: Values = {}
        for domain, section in _entries(root, "", lines):
            values[domain] = {}
            for field, node in _entries(section, domain, lines):
                values[domain][field] = _value(loader, node, join_path([domain, field]))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = ": indent with blanks, not with tabs" if "'\\t'" in (error.problem or "") else ""
        raise _wrong(mark.line + 1 if mark else 1, f"this is no YAML: {error.problem}{hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise _wrong(line, "there is a character that YAML allows only as an escape in double quotes") from None
    except RecursionError:
        raise InvalidConfig("nothing was saved: this is nested too deeply") from None
    gone = [path for path in _rows.paths() if path not in lines]
    if gone:
        raise InvalidConfig(f"nothing was saved: {', '.join(gone)} is missing: a setting cannot be removed")
    return values, lines


def check(document: Mapping[str, Any], values: Values, lines: Mapping[str, int]) -> None:
    """Refuse what does not fit the model, as these values of the document. Raises InvalidConfig: line, value, rule."""
    wanted = {**document, **values, "profile": {**document["profile"], **values["profile"]}}
    try:
        # Strictly, as everywhere: "5" is no number.
        ProfileConfig.model_validate(wanted, strict=True)
    except ValidationError as error:
        flat = {join_path([domain, field]): value for domain in values for field, value in values[domain].items()}
        told = [f"line {lines[path]}: {fault}" if path in lines else fault for path, fault in _rows.faults(error, flat)]
        raise InvalidConfig("nothing was saved: " + "; ".join(told)) from None


def _entries(node: yaml.Node | None, above: str, lines: dict[str, int]) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        what = f"{above} has no settings below it" if above else "the profile's settings are not there any more"
        raise _wrong(node.start_mark.line + 1 if node else 1, what)
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else "this key"
        path = join_path([above, name]) if above else name
        if path in lines:
            raise _wrong(line, f"{path} is there twice, first in line {lines[path]}")
        if above:
            try:
                _rows.check_path(path)
            except InvalidConfig as error:
                raise _wrong(line, str(error)) from None
        elif name not in ProfileConfig.model_fields or not _rows.section(name):
            raise _wrong(line, f"{path} is no part of a profile")
        lines[path] = line
        yield name, value


def _value(loader: yaml.SafeLoader, node: yaml.Node, path: str) -> object:
    if isinstance(node, yaml.ScalarNode) and node.tag in TEXT:
        return node.value
    if node.tag not in PLAIN:
        raise _wrong(node.start_mark.line + 1, f"{path}: a value has no tag, such as {node.tag}")
    try:
        value: object = loader.construct_object(node, deep=True)
    except (ValueError, KeyError):
        raise _wrong(node.start_mark.line + 1, f"{path}: this is no value of YAML") from None
    return value


def _wrong(line: int, what: str) -> InvalidConfig:
    return InvalidConfig(f"nothing was saved: line {line}: {what}")


def _written(value: object, *, block: bool) -> str:
    if not isinstance(value, str):
        plain: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
        return plain.removesuffix("...\n").rstrip("\n")
    if not block:
        return _quoted(value)
    ends = len(value) - len(value.rstrip("\n"))
    chomping = "-" if ends == 0 else "" if ends == 1 else "+"
    # Where the text begins with blanks, YAML has to be told how far it is indented.
    start = "2" if value[:1] in (" ", "\n", "\t") else ""
    text = "\n".join([f"|{start}{chomping}", *_indented(value.removesuffix("\n").split("\n"))])
    if value and _holds(text, value):
        return text
    # There is a character that YAML shows only as an escape, such as the carriage return.
    pieces = [_quoted(line)[1:-1] for line in value.splitlines(keepends=True)]
    first, *rest = [re.sub(r"^ ", r"\\ ", piece) for piece in pieces] or [""]
    text = "\\\n    ".join([f'"{first}', *rest]) + '"'
    return text if _holds(text, value) else _quoted(value)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" if line else "" for line in lines)


def _holds(written: str, value: str) -> bool:
    """Whether YAML reads this value, at the place where it stands in the form."""
    try:
        found: object = yaml.safe_load(f"a:\n  b: {written}\n  # rule\n  c: 1\n")
    except yaml.YAMLError:
        return False
    return found == {"a": {"b": value, "c": 1}}


def _quoted(text: str) -> str:
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.rstrip("\n")


def _comment(text: str) -> str:
    return f"# {UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], ' '.join(text.split()))}".rstrip()


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """What a model's docstring says of its fields."""
    _, _, attributes = (inspect.getdoc(model) or "").partition("Attributes:\n")
    found = re.findall(r"^(\w+): (.+(?:\n +.+)*)", textwrap.dedent(attributes), re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def _rule(field: FieldInfo) -> str:
    """The type and the bounds of a field."""
    kind = TYPES.get(field.annotation, "") if isinstance(field.annotation, type) else ""
    bounds = [
        words.format(getattr(each, name))
        for each in field.metadata
        for name, words in BOUNDS.items()
        if hasattr(each, name)
    ]
    return ", ".join(filter(None, [kind, *bounds]))
