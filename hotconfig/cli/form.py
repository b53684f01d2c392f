"""A profile as the text that somebody edits: YAML, with the rule of each field above it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hotconfig import _rows
from hotconfig._notation import Text, comment, scalar
from hotconfig._rows import Values
from hotconfig.errors import InvalidConfig
from hotconfig.profile import ProfileConfig
from hotconfig.snapshot import join_path, split_path

TYPES = {str: "text", float: "number", int: "whole number", bool: "true or false"}
BOUNDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} characters",
    "max_length": "at most {} characters",
}


def settings(document: Mapping[str, Any]) -> Values:
    """What of a profile's document can be set, in the order of the model; None for what it lacks."""
    values: Values = {}
    for domain, field in map(split_path, _rows.paths()):
        values.setdefault(domain, {})[field] = (document.get(domain) or {}).get(field)
    return values


def write(values: Values, head: Iterable[str]) -> str:
    """The text of these values; `read` reads exactly them. `head` are lines that stand above, as comments."""
    lines = [comment(line) for line in head]
    about = _descriptions(ProfileConfig)
    for domain, fields in values.items():
        model: Any = ProfileConfig.model_fields[domain].annotation
        described = _descriptions(model)
        # No blank line above: behind a text that keeps all its line breaks it would be one more.
        lines += ["#", comment(about.get(domain, "")), f"{domain}:"]
        for field, value in fields.items():
            rule = f"{described.get(field, field)} ({_rule(model.model_fields[field])})"
            lines += [f"  {comment(rule)}", f"  {field}: {scalar(value, '    ', block=domain == 'prompts')}"]
    # Behind the last text, so that an editor that takes blank lines off the end of a file does not change it.
    return "\n".join([*lines, "# The end."]) + "\n"


def read(content: bytes) -> tuple[Values, Text]:
    """The values of a text, and where it has them.

    Raises InvalidConfig that names the line: it is no YAML, or a setting is unknown, missing or there twice.
    """
    text = Text(content, None, "yaml")
    values: Any = text.data
    if not isinstance(values, dict):
        raise text.invalid(0, "the profile's settings are not there any more")
    for at, line, before in text.twice():
        raise text.invalid(line, f"{join_path(at)} is there twice, before in line {before + 1}")
    gone = _rows.paths()
    for domain, fields in values.items():
        line = text.place((str(domain),))
        if not _rows.section(domain):
            raise text.invalid(line, f"{domain} is no part of a profile")
        if not isinstance(fields, dict):
            raise text.invalid(line, f"{domain} has no settings below it")
        for field in map(str, fields):
            path = join_path([domain, field])
            try:
                _rows.check_path(path)
            except InvalidConfig as error:
                raise text.invalid(text.place((domain, field)), error) from None
            gone.remove(path)
    if gone:
        raise InvalidConfig(f"nothing was saved: {', '.join(gone)} is missing: a setting cannot be removed")
    return values, text


def check(document: Mapping[str, Any], values: Values, text: Text) -> None:
    """Refuse what does not fit the model, as these values of the document. Raises InvalidConfig: line, value, rule."""
    wanted = {**document, **values, "profile": {**document["profile"], **values["profile"]}}
    try:
        # Strictly, as everywhere: "5" is no number.
        ProfileConfig.model_validate(wanted, strict=True)
    except ValidationError as error:
        flat = {join_path([domain, field]): value for domain in values for field, value in values[domain].items()}
        told = [
            text.at_line(text.place(tuple(split_path(path))), fault) if path in flat else fault
            for path, fault in _rows.faults(error, flat)
        ]
        raise InvalidConfig("nothing was saved: " + "; ".join(told)) from None


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
