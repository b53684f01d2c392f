"""Runs a page of the documentation as its reader would, block by block, in a directory of its own.

    ```python                   runs in one interpreter; the blocks of a page share their names
    ```sql                      runs in psql, on the database that the page's shell would use
    ```console                  `$ ` commands run in one bash; `&` leaves one running until the end of the page;
                                a comment says the exit code, `# exit code 1`, unless it is 0
    ```anything title="x.py"    is saved as that file, which a later block uses, or a test of the page's own
    ```text, ```pyi             is for the eye

Each line that a console block shows must come, in whatever order; `...` in it stands for anything.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from markdown_it import MarkdownIt
from psycopg.conninfo import make_conninfo
from servers import binaries

from hotconfig.conninfo import resolve

PATIENCE = 50.0  # seconds for a command
ENVIRONMENT = {
    # A sitecustomize.py, and what is tested if that is not what is installed.
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "lines"), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "GUNICORN_CMD_ARGS": "--no-control-socket",  # which all of them would have in the home directory
}
ENDING = "trap 'jobs -p | xargs -r kill; wait' EXIT"
DONE = "--- done: "
DATABASE = "--- database: "
INTERPRETER = f"""
import json, os, sys, traceback
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    block = json.loads(line)
    os.environ["HOTCONFIG_DATABASE_URL"] = block["url"]
    try:
        exec(compile(block["code"], block["page"], "exec"), names)
        status = 0
    except Exception:
        traceback.print_exc()
        status = 1
    # In one piece, since a subscriber may print at the same time.
    sys.stdout.write(f"\\n{DONE}{{status}}\\n")
"""


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


class Session:
    """A program that reads what is to be done from its standard input, and prints that it is."""

    def __init__(self, *command: str, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            start_new_session=True,  # so that nothing of it is left in the end
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"output of {command[0]}", daemon=True)
        self._reader.start()

    def run(self, typed: str, where: str, expected: Iterable[str] = (), status: str = "0") -> str:
        """Have it done, and wait until all that is expected has come, which may be from something that runs on."""
        stdin = cast(IO[str], self._process.stdin)
        stdin.write(typed)
        stdin.flush()
        shown: list[str] = []
        missing = list(expected)
        ended = False
        while not ended or missing:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{where}: {typed}\nmissing {missing} in:\n{''.join(shown)}") from None
            text, done, code = line.partition(DONE)  # behind what did not end its line, as curl does not
            if done:
                assert code.strip() == status, f"{where}: {typed}\n{''.join(shown)}{line}"
                ended = True
            if text:
                shown.append(text)
                came = next((each for each in missing if _matches(each, text)), None)
                missing = [each for each in missing if each is not came]
        return "".join(shown)

    def close(self) -> None:
        """Let it come to its end, and whatever it has started; what does not is killed."""
        cast(IO[str], self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        cast(IO[str], self._process.stdout).close()

    def _read(self) -> None:
        for line in cast(IO[str], self._process.stdout):
            self._lines.put(line)


def _matches(expected: str, line: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, line.rstrip()) is not None


def run(page: Path) -> None:
    """Run every block of it, in the current directory."""
    path = f"{Path(sys.executable).parent}:{binaries()}:{os.environ['PATH']}"
    environ = os.environ | ENVIRONMENT | {"PATH": path}
    environ.pop("PYTHONUNBUFFERED", None)
    unused: dict[str, str] = {}
    with (
        closing(Session("bash", "--norc", "-u", "-o", "pipefail", environ=environ)) as shell,
        closing(Session(sys.executable, "-c", INTERPRETER, environ=environ)) as python,
    ):
        shell.run(f'{ENDING}; echo "{DONE}0"\n', str(page))
        for block in blocks(page):
            where = f"{page}:{block.line}"
            if block.title:
                Path(block.title).write_text(block.text, "utf-8")
                unused[block.title] = where
                continue
            # What the reader's shell exports counts for all that he types.
            shown = shell.run(f'echo "{DATABASE}$HOTCONFIG_DATABASE_URL"; echo "{DONE}0"\n', where)
            url = shown[shown.index(DATABASE) + len(DATABASE) :].splitlines()[0]
            match block.language:
                case "python":
                    code = "\n" * (block.line - 1) + block.text
                    python.run(json.dumps({"code": code, "page": str(page), "url": url}) + "\n", where)
                case "sql":
                    conninfo = make_conninfo("", **resolve(url).connect_params())
                    command = [str(binaries() / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", conninfo]
                    subprocess.run(
                        command, input=block.text, text=True, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE
                    )
                case "console":
                    for typed, expected in _commands(block, where):
                        code = found[1] if (found := re.search(r"# exit code (\d)$", typed)) else "0"
                        shell.run(f"{{ {typed}\n}} </dev/null; echo '{DONE}'$?\n", where, expected, code)
                case "text" | "pyi":
                    continue
                case other:
                    raise AssertionError(f"{where}: nothing runs {other!r}; give it a title, and use it later")
            unused = {title: where for title, where in unused.items() if not _uses(block, title)}
        unused = {title: where for title, where in unused.items() if not _tested(page, title)}
        assert not unused, f"no later block, and no test of the page's own, uses {unused}"


def _tested(page: Path, title: str) -> bool:
    """Whether a test of its own uses the file, for what cannot run here."""
    tests = [test.read_text("utf-8") for test in Path(__file__).parent.glob("test_*.py")]
    return any(page.name in test and f'"{title}"' in test for test in tests)


def _uses(block: Block, title: str) -> bool:
    """Whether its code names the file, imports the module, or has pytest collect it."""
    if re.match(r"(conf)?test", title) and "pytest" in block.text:
        return True
    code = re.sub(r"#.*", "", block.text)
    stem = Path(title).stem
    imported = rf"\b(import|from)\s+{stem}\b|\b{stem}:|--app {stem}\b"
    return title in code or re.search(imported, code) is not None


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
