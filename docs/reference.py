"""Makes reference.md of the docstrings, and command-line.md of the verbs' declarations: `make reference`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, fill, indent
from typing import Any, cast

import griffe
import typer
from griffe import DocstringSectionKind as Kind
from typer.cli import get_docs_for_click

from hotconfig.cli import app

DOCS = Path(__file__).parent
MADE = "<!-- `make reference` makes this page of {}: edit those instead. -->"
ABOUT = "What can be imported. The [command line](command-line.md) has a page of its own."

# The chapters. A name that several modules have is described in the first of them, an error in its own.
MODULES = (
    "hotconfig",
    "hotconfig.errors",
    "hotconfig.testing",
    "hotconfig.admin",
    "hotconfig.migrations",
    "hotconfig.embedded",
    "hotconfig.conninfo",
    "hotconfig.snapshot",
    "hotconfig.profile",
    "hotconfig._pytest_plugin",
)
TITLES = {"hotconfig._pytest_plugin": "The pytest plugin"}
LEFT_OUT = {
    "hotconfig.cli": "the command line, which has a page of its own",
    "hotconfig.demo": "a program, which `hotconfig demo` runs",
    "hotconfig.models": "the tables, which sql/tables_v1.sql describes column by column",
}
# Private modules with the half of a public class.
BASES = ("hotconfig._reading",)
# In `hotconfig` what is used most comes first; all else as it does in its source.
FIRST = (
    *("start", "current", "pinned", "subscribe", "changes", "wait_for", "status", "close", "Client", "Snapshot"),
    *("Section", "ProfileConfig", "ProfileInfo", "AIInfra", "GenieSpace", "MLflow", "Prompts", "Change", "Changes"),
    *("Subscription", "Status"),
)
SECTIONS = {"parameters": "Parameters", "raises": "Raises", "returns": "Returns", "attributes": "Attributes"}


def reference() -> str:
    """The page of the Python API."""
    package = griffe.load("hotconfig", search_paths=[DOCS.parent], docstring_parser="google", resolve_aliases=True)
    contents, chapters, appendices = [], [], []
    seen: set[str] = set()
    for path in MODULES:
        module = package.modules_collection[path]
        title = TITLES.get(path, f"`{path}`")
        chapters += [f"## {title}", *prose(module)]
        links = []
        for name in public(module):
            found = module[name].final_target if module[name].is_alias else module[name]
            if found.path in seen or (path == "hotconfig" and found.module.path == "hotconfig.errors"):
                continue
            seen.add(found.path)
            heading = f"`{name}`" if path in TITLES else f"`{path}.{name}`"
            heading = f"class {heading}" if found.is_class else heading
            links.append(link(heading, f"`{name}`"))
            chapters += [f"### {heading}", *entry(name, found)]
        contents.append(item(link(title), ", ".join(links)))
        for section in sections(module, Kind.admonition):  # such as the environment variables
            contents.append(item(link(str(section.title))))
            appendices += [f"## {section.title}", items(section)]
    page = [MADE.format("the docstrings"), "# Reference", ABOUT, "\n".join(contents), *chapters, *appendices]
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "docs/reference.md", "-"]
    text = "\n\n".join(page) + "\n"
    return subprocess.run(ruff, input=text, cwd=DOCS.parent, stdout=subprocess.PIPE, text=True, check=True).stdout


def public(module: griffe.Module) -> list[str]:
    """The names of a module, in the order of the page."""

    def place(name: str) -> tuple[int, bool, int]:
        first = FIRST.index(name) if module.path == "hotconfig" and name in FIRST else len(FIRST)
        return first, module[name].is_alias, module[name].lineno or 0

    return sorted(map(str, module.exports or ()), key=place)


def entry(name: str, found: griffe.Object) -> Iterator[str]:
    """What the page says of a class, a function or a constant."""
    if isinstance(found, griffe.Class):
        bases = [str(base) for base in found.bases if "._" not in str(getattr(base, "canonical_path", base))]
        body = stubs(found["__init__"]) if sections(found, Kind.parameters) else "..."
        if bases or body != "...":
            head = f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"
            yield fence("pyi", f"{head}\n{indent(body, '    ')}")
        yield from prose(found)
        for method in own(found, griffe.Function):
            yield f"#### `{name}.{method.name}`"
            yield from entry(method.name, method)
    elif isinstance(found, griffe.Function):
        yield fence("pyi", stubs(found))
        yield from prose(found)
    elif str(value := getattr(found, "value", "")).startswith("default."):
        method = found.module["Client"][name]
        yield fence("pyi", re.sub(r"\bS\b", "ProfileConfig", re.sub(r"\bself(, )?", "", stubs(method))))
        yield next(prose(method)).partition("\n\n")[0]
        yield f"This is {link(f'`Client.{name}`')} of the default client."
    else:
        yield fence("pyi", f"{name} = {value}")
        yield from prose(found)


def own(found: griffe.Object, kind: type[Any]) -> list[Any]:
    """What a class has, also by a base that has no entry."""
    members = dict(found.members)
    if isinstance(found, griffe.Class):
        for base in found.resolved_bases:
            if base.module.path in BASES:
                members |= {name: each for name, each in base.members.items() if name not in members}
    return [each for name, each in members.items() if isinstance(each, kind) and not name.startswith("_")]


def stubs(function: griffe.Function) -> str:
    """A function without its body, or its overloads."""
    found = []
    for each in function.overloads or [function]:
        (node,) = ast.parse(each.source).body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        node.body = [ast.Expr(ast.Constant(...))]
        stub = ast.unparse(node)
        # A comma behind the last parameter tells ruff to give each one a line.
        found.append(stub if max(map(len, stub.splitlines())) <= 90 else re.sub(r"\)(?=( -> .*)?:\n)", ",)", stub))
    return "\n".join(found)


def sections(found: griffe.Object, kind: Kind | None = None) -> list[griffe.DocstringSection]:
    parsed = found.docstring.parsed if found.docstring else []
    return [section for section in parsed if kind in (None, section.kind)]


def prose(found: griffe.Object) -> Iterator[str]:
    """A docstring: a class's with its properties, a module's without the appendices."""
    properties = [
        item(f"`{each.name}: {each.annotation}`", each.docstring.value if each.docstring else "")
        for each in own(found, griffe.Attribute)
        if "property" in each.labels
    ]
    for section in sections(found):
        if section.kind is Kind.text:
            yield fenced(section.value)
        elif not found.is_module:
            yield f"**{SECTIONS.get(section.kind.value, section.title)}**"
            if section.kind is Kind.attributes:
                yield "\n".join([items(section), *properties])
                properties = []
            else:
                yield items(section)
    if properties:
        yield "\n".join(["**Attributes**\n", *properties])


def items(section: griffe.DocstringSection) -> str:
    """A section of a docstring as a list: a parameter, an error, an attribute each."""
    match section.kind:
        case Kind.admonition:
            pairs = [each.split(": ", 1) for each in re.split(r"\n(?=\S)", section.value.description)]
        case Kind.raises:
            pairs = [[str(each.annotation).strip("()"), each.description] for each in section.value]
        case Kind.attributes:
            return "\n".join(item(typed(each), each.description) for each in section.value)
        case _:
            pairs = [[each.name, each.description] for each in section.value]
    return "\n".join(item(", ".join(f"`{name}`" for name in names.split(", ") if name), text) for names, text in pairs)


def typed(found: griffe.DocstringAttribute) -> str:
    """An attribute's name, its type, and the bounds that Pydantic holds it to."""
    annotation, bounds = found.annotation, ""
    if isinstance(annotation, griffe.ExprSubscript) and annotation.canonical_path == "typing.Annotated":
        annotation, *metadata = cast(griffe.ExprTuple, annotation.slice).elements
        calls = [each for each in metadata if isinstance(each, griffe.ExprCall)]
        bounds = "".join(f", `{bound}`" for each in calls if str(each.function) == "Field" for bound in each.arguments)
    return f"`{found.name}: {annotation}`{bounds}"


def item(head: str, text: str = "") -> str:
    line = ": ".join(part for part in (head, text) if part)
    return fill(f"- {line}", 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def fence(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"


def fenced(text: str) -> str:
    """Indented code in a fence that says what it is."""

    def block(found: re.Match[str]) -> str:
        code = dedent(found[0]).strip("\n")
        try:
            ast.parse(code)
        except SyntaxError:
            return f"\n{fence('text', code)}\n"
        return f"\n{fence('python', code)}\n"

    return re.sub(r"(^\n(?= {4})|^ {4}.*\n)+", block, text + "\n", flags=re.MULTILINE).rstrip()


def link(heading: str, text: str = "") -> str:
    anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")  # as GitHub makes them
    return f"[{text or heading}](#{anchor})"


def command_line() -> str:
    """The page of the verbs, as Typer makes it."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("hotconfig", [], resilient_parsing=True)
    for verb in verbs(command):
        verb.short_help = verb.help  # else it is cut where the verbs are listed
        verb.epilog = re.sub("^Example: (.+)", r"Example: `\1`", verb.epilog or "")
    page = get_docs_for_click(obj=command, ctx=context, name="hotconfig", title="Command line")
    # Not `console`, which is what somebody types.
    page = page.replace("```console\n$ ", "```text\n").strip()
    made = MADE.format("the verbs' declarations")
    return f"{made}\n\n{page}\n"


def verbs(group: Any) -> Iterator[Any]:
    for verb in group.commands.values():
        yield verb
        yield from verbs(verb) if hasattr(verb, "commands") else ()


PAGES = {DOCS / "reference.md": reference, DOCS / "command-line.md": command_line}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), "utf-8")
