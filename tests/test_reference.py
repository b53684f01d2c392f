"""The reference has every public name, and says what the code says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import typer

import hotconfig
from hotconfig.cli import app

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
COMMAND_LINE = ROOT / "docs" / "command-line.md"
MAKER = runpy.run_path(str(ROOT / "docs" / "reference.py"))
MODULES = {path: importlib.import_module(path) for path in MAKER["MODULES"]}


def chapters(page: Path) -> dict[str, str]:
    """Heading -> what stands below it."""
    _, *parts = re.split(r"^##+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    assert len(set(parts[::2])) == len(parts[::2])
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("page", [REFERENCE, COMMAND_LINE], ids=lambda page: page.name)
def test_the_pages_are_of_this_code(page: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody edits them; and what a docstring says of a parameter is of one that is there."""
    made = MAKER["PAGES"][page]()
    assert caplog.messages == []
    assert page.read_text("utf-8") == made, "run `make reference`"


def test_public_modules() -> None:
    """Each has a chapter, or a reason why not."""
    public = {f"hotconfig.{each.name}" for each in pkgutil.iter_modules(hotconfig.__path__) if each.name[0] != "_"}
    described = {path for path in MODULES if "._" not in path} - {"hotconfig"}
    assert public == described | set(MAKER["LEFT_OUT"])


NAMES = [(path, name) for path, module in MODULES.items() for name in module.__all__]


@pytest.mark.parametrize(("path", "name"), NAMES, ids=lambda text: text)
def test_public_names(path: str, name: str) -> None:
    """Each is described once, with each method, property and field that it has."""
    found = getattr(MODULES[path], name)
    said = {heading: without_signatures(text) for heading, text in chapters(REFERENCE).items()}
    homes = [home for home, module in MODULES.items() if getattr(module, name, None) is found]
    headings = {f"`{home}.{name}`".replace("hotconfig._pytest_plugin.", "") for home in homes}
    if isinstance(found, type):
        headings = {f"class {heading}" for heading in headings}
    (heading,) = headings & said.keys()
    assert said[heading]
    if isinstance(found, type):
        listed = re.findall(r"^- `(\w+): [^`]+`(?:, `[^`]+`)*:\s+\S", said[heading], re.MULTILINE)
        missing = [each for each in members(found) if each not in listed and not said.get(f"`{name}.{each}`")]
        assert missing == []
        assert set(listed) <= set(members(found))


def without_signatures(text: str) -> str:
    return re.sub(r"^```pyi\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).strip()


def members(found: type) -> Iterator[str]:
    """Its public ones, and those of its private bases."""
    callables = (FunctionType, staticmethod, classmethod, property)
    for each in found.__mro__:
        if each is found or each.__module__.startswith("hotconfig._"):
            methods = [name for name, value in vars(each).items() if isinstance(value, callables)]
            yield from (name for name in [*methods, *inspect.get_annotations(each)] if not name.startswith("_"))


def test_links() -> None:
    """Each leads to a heading of the page."""
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in chapters(REFERENCE)]
    assert len(set(anchors)) == len(anchors)  # GitHub would number them
    links = re.findall(r"\]\(#(.+?)\)", REFERENCE.read_text("utf-8"))
    assert set(links) <= set(anchors)


def test_environment_variables() -> None:
    """Those that the package reads are those that are listed."""
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "hotconfig").rglob("*.py"))
    read = re.findall(r'[("](HOTCONFIG_[A-Z_]+|DATABASE_URL)"', sources)
    listed = re.findall(
        r"^- `(HOTCONFIG_\w+|DATABASE_URL)`: ", chapters(REFERENCE)["Environment variables"], re.MULTILINE
    )
    assert set(read) == set(listed)


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")


VERBS = dict(commands(typer.main.get_command(app), "hotconfig"))


@pytest.mark.parametrize("name", VERBS)
def test_verbs(name: str) -> None:
    """Each has help, and so has each of its arguments and options."""
    verb, said = VERBS[name], chapters(COMMAND_LINE)[f"`{name}`"]
    assert verb.help
    assert verb.help in said
    for each in verb.params:
        assert each.help, each.name
        named = "|".join(map(re.escape, [*each.opts, *each.secondary_opts, each.metavar or each.name]))
        assert re.search(rf"^\* `.*({named})\b.*`: {re.escape(each.help)}", said, re.MULTILINE), each.name
