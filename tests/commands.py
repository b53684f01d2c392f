"""Running the command line: in this process, in one of its own, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import Any

from programs import interrupt, started
from typer.testing import CliRunner, Result

from hotconfig.cli import app

PROGRAM = [sys.executable, "-m", "hotconfig"]


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """In this process, whatever comes of it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return CliRunner().invoke(app, list(arguments), input=stdin, prog_name="hotconfig")
    finally:
        for number, handler in before.items():
            # A verb that runs until it is told to end may leave its own: later tests are to end as others do.
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def out(*arguments: str, stdin: str | bytes | None = None) -> str:
    """What a verb that works prints."""
    done = run(*arguments, stdin=stdin)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def printed(*arguments: str) -> Any:
    """The one JSON value that a verb prints."""
    return json.loads(out(*arguments, "--json"))


def refused(code: int, *arguments: str) -> str:
    """The one line on stderr, less `error: `, of a verb that fails with this exit code."""
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, ""), done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, piped."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environ,
        timeout=50,
    )


def on_a_terminal(*arguments: str, typed: str = "", interrupted_at: str = "") -> tuple[int, str]:
    """In a process of its own, on a terminal: the exit code, and all that it shows; Ctrl-C when it shows that text."""
    ours, its = pty.openpty()
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"}
    with started([*PROGRAM, *arguments], stdin=its, stdout=its, stderr=its, env=environ) as process:
        os.close(its)
        os.write(ours, typed.encode())
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
                if interrupted_at and interrupted_at.encode() in shown:
                    interrupt(process)
                    interrupted_at = ""
        except OSError:  # Linux's way to say that the other side is closed
            pass
        os.close(ours)
    return process.returncode, shown.decode()


def screen(shown: str) -> list[str]:
    """The lines that are left on a terminal of all that was shown there."""
    lines: dict[int, str] = {}
    row = 0
    for number, command, text in re.findall(r"\x1b\[([?\d;]*)([A-Za-z])|(\r|\n|[^\x1b\r\n]+)", shown):
        if command == "A":
            row -= int(number or 1)
        elif command == "K":
            lines[row] = ""
        elif text == "\n":
            row += 1
        elif text != "\r":
            lines[row] = lines.get(row, "") + text
    return [lines[row] for row in sorted(lines) if lines[row]]
