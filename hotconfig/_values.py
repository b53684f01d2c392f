"""PATH=VALUE, as a person writes it.

A path is field names joined by dots. A value is converted by the field's type: text literally, anything else as JSON.
`@file` is the exact content of a file, `@-` of standard input, `@@x` a literal @x.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from hotconfig import _rows
from hotconfig.errors import InvalidConfig


def assignments(texts: Iterable[str]) -> dict[str, object]:
    """The values by their paths.

    Raises:
        ValueError: one is no assignment, a path is there twice, or a file cannot be read.
        InvalidConfig: there is no such setting, or the value is not of its type.
    """
    values: dict[str, object] = {}
    piped = False
    for text in texts:
        found = re.fullmatch(r'((?:[^="]|"(?:[^"]|"")*")+)=(.*)', text, re.DOTALL)
        if found is None:
            raise ValueError(f"{text!r} is no assignment: right is for example ai_infra.llm_temperature=0.2")
        path, value = found.groups()
        if path in values:
            raise ValueError(f"{path} is given twice")
        if value == "@-":
            if piped:
                raise ValueError("standard input can be read only once: give @- for one path")
            piped = True
        values[path] = _converted(path, _content(value))
    return values


def _content(value: str) -> str:
    if not value.startswith("@"):
        return value
    name = value[1:]
    if name.startswith("@"):
        return name
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{value}: not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror}; a literal @ is written @@") from None


def _converted(path: str, text: str) -> object:
    domain, field = _rows.check_path(path)
    if _rows.section(domain)[field].annotation is str:
        return text
    try:
        value: object = json.loads(text, parse_constant=_refuse)
    except ValueError:
        shown = text if len(text) < 60 else f"{text[:60]}…"
        raise InvalidConfig(f"nothing was saved: {path} = {shown!r}: not a JSON value, such as 0.2") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
