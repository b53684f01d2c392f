"""Verbs that read: show, profiles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from hotconfig._content import PROFILE
from hotconfig.admin import Admin
from hotconfig.cli import options, output
from hotconfig.cli.app import verb
from hotconfig.errors import HotConfigError
from hotconfig.snapshot import join_path, split_path

Path = Annotated[str | None, typer.Argument(help="Only this part, such as ai_infra.llm_temperature.")]


@verb("hotconfig show ai_infra.llm_temperature")
def show(
    path: Path = None,
    *,
    version: Annotated[int | None, typer.Option(metavar="N", help="As it was at this version.")] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="As it was at this time (ISO 8601; local, unless it names a zone)."),
    ] = None,
    profile: options.Profile = None,
    document: options.Document = None,
    database: options.Database = None,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Show a profile, or a part of it, as it is or was."""
    if version is not None and at is not None:
        raise ValueError("give --version or --at, not both")
    time = options.time(at)
    with Admin(database, schema=schema) as admin:
        found = admin.document(options.document_or_default(profile, document), version=version, at=time)
    if document is None:
        document = PROFILE + found["profile"]["name"]
        found = output.ordered(document, found)
    value = found if path is None else _part(found, path, document)
    if as_json:
        whole = {"document": document, "version": found["version"], "path": path, "value": value}
        output.print_json(value if path is None else whole)
    elif isinstance(value, Mapping):
        _print_tree(value, [] if path is None else split_path(path))
    else:
        output.raw(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@verb("hotconfig profiles --json")
def profiles(
    *, database: options.Database = None, schema: options.Schema = None, as_json: options.Json = False
) -> None:
    """List the profiles."""
    with Admin(database, schema=schema) as admin:
        found = admin.profiles()
    if as_json:
        output.print_json({"profiles": [profile.model_dump() for profile in found]})
    elif found:
        rows = [("*" if each.is_default else "", each.name, str(each.id), each.description) for each in found]
        output.table(("default", "name", "id", "description"), rows)
    else:
        output.say("no profiles: `hotconfig init` makes the default one")


def _part(document: Mapping[str, Any], path: str, name: str) -> object:
    value: object = document
    for step in split_path(path):
        if not isinstance(value, Mapping) or step not in value:
            known = ", ".join(leaf for leaf, _ in _leaves(document, []))
            raise HotConfigError(f"{output.shown(name)} has no {path}: it has {known}")
        value = value[step]
    return value


def _print_tree(value: Mapping[str, Any], path: list[str]) -> None:
    for leaf, found in _leaves(value, path):
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        if "\n" in text:
            output.say((leaf, "cyan"), " =")
            for line in text.split("\n"):
                output.say(f"    {line}")
        else:
            output.say((leaf, "cyan"), f" = {text}")


def _leaves(value: Mapping[str, Any], path: list[str]) -> Iterator[tuple[str, object]]:
    for key, below in value.items():
        if isinstance(below, Mapping) and below:
            yield from _leaves(below, [*path, key])
        else:
            yield join_path([*path, key]), below
