"""Runs a page of the documentation as its reader would, block by block, in a directory of its own.

    ```python                   runs here; the blocks of a page share their names
    ```sql                      runs in psql, on the database that the page's shell would use
    ```console                  `$ ` commands run in one bash; `&` leaves one running until the end of the page;
                                a comment says the exit code, `# exit code 1`, unless it is 0
    ```anything title="x.py"    is saved as that file, which a later block uses
    ```text                     is for the eye

Each line that a console block shows must come, in whatever order; `...` in it stands for anything.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from markdown_it import MarkdownIt
from psycopg.conninfo import make_conninfo

from hotconfig import conninfo, embedded

PATIENCE = 50.0  # seconds for a command
DONE = "--- that was it: "
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "GUNICORN_CMD_ARGS": "--no-control-socket",  # which all of them would have in the home directory
}


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    text: str
    line: int
    """Of the page, the first one of the text."""


def blocks(page: Path) -> list[Block]:
    """The code of a page, in its order."""
    found = []
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "fence" and token.map:
            language, _, rest = token.info.partition(" ")
            title = re.fullmatch(r'title="(.+)"', rest.strip())
            assert bool(title) == bool(rest.strip()), f"{page}:{token.map[0] + 1}: {token.info}"
            found.append(Block(language, title and title[1], token.content, token.map[0] + 2))
        else:
            assert token.type != "code_block", f"{page}: code is fenced, so that it says what it is"
    return found


def links(page: Path) -> list[str]:
    """Where a page links to."""
    tokens = [inner for token in MarkdownIt().parse(page.read_text("utf-8")) for inner in token.children or []]
    return [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]


def save(page: Path, title: str, directory: Path) -> Path:
    """Save the file of that title as the page shows it."""
    (text,) = [block.text for block in blocks(page) if block.title == title]
    (directory / title).write_text(text, "utf-8")
    return directory / title


class Shell:
    """One bash, which keeps its variables, directory and jobs from block to block."""

    def __init__(self) -> None:
        path = f"{Path(sys.executable).parent}:{embedded.bin_path()}:{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["bash", "--norc", "-u", "-o", "pipefail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | ENVIRONMENT | {"PATH": path},
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="shell's output", daemon=True)
        self._reader.start()

    def run(self, command: str, expected: list[str], where: str) -> str:
        """Run it until it has ended, if it ends, and all that is expected has come. Its output."""
        self._type(f"{{ {command}\n}} </dev/null; echo '{DONE}'$?\n")
        shown: list[str] = []
        status = match[1] if (match := re.search(r"# exit code (\d)$", command)) else "0"
        ended = False
        missing = expected
        while not ended or missing:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{where}: {command}\nmissing {missing} in:\n{''.join(shown)}") from None
            if line.startswith(DONE):
                assert line.strip() == f"{DONE}{status}", f"{where}: {command}\n{''.join(shown)}{line}"
                ended = True
            else:
                shown.append(line)
                came = next((each for each in missing if _matches(each, line)), None)
                missing = [each for each in missing if each is not came]
        return "".join(shown)

    def close(self) -> None:
        self._type("jobs -p | xargs -r kill; wait\n")
        cast(IO[str], self._process.stdin).close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        cast(IO[str], self._process.stdout).close()

    def _type(self, text: str) -> None:
        stdin = cast(IO[str], self._process.stdin)
        stdin.write(text)
        stdin.flush()

    def _read(self) -> None:
        for line in cast(IO[str], self._process.stdout):
            self._lines.put(line)


def _matches(expected: str, line: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, line.rstrip()) is not None


def run(page: Path) -> None:
    """Run every block of it, in the current directory."""
    shell = Shell()
    module = types.ModuleType("__main__")
    saved: dict[str, str] = {}
    try:
        for block in blocks(page):
            where = f"{page}:{block.line}"
            if block.title:
                Path(block.title).write_text(block.text, "utf-8")
                saved[block.title] = where
                continue
            # What the reader's shell exports counts for all that he types.
            os.environ["HOTCONFIG_DATABASE_URL"] = shell.run('echo "$HOTCONFIG_DATABASE_URL"', [], where).strip()
            match block.language:
                case "python":
                    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
                    exec(code, module.__dict__)
                case "sql":
                    url = make_conninfo("", **conninfo.resolve().connect_params())
                    subprocess.run(
                        [embedded.bin_path() / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", url],
                        input=block.text,
                        text=True,
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                case "console":
                    for command, expected in _commands(block, where):
                        shell.run(command, expected, where)
                case "text":
                    continue
                case other:
                    raise AssertionError(f"{where}: nothing runs {other!r}; give it a title, and use it later")
            for title in list(saved):
                if Path(title).stem in block.text:
                    del saved[title]
        assert not saved, f"no later block uses {saved}"
    finally:
        shell.close()


def _commands(block: Block, where: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            command, _ = found.pop()
            found.append((f"{command}\n{line[2:]}", []))
        else:
            assert found, f"{where}: begins with a command, `$ `"
            if line.strip():
                found[-1][1].append(line.rstrip())
    return found
