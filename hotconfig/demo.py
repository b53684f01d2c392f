"""`hotconfig demo`: a newcomer's first minute.

It starts an embedded PostgreSQL, and a slide agent in a process of its own; edits the configuration with the real psql
in another one; shows the agent's next answer with the new value, how long that took, the audit row, and the way back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

import hotconfig
from hotconfig import embedded, migrations
from hotconfig.admin import Admin

QUESTION = "Which product grew fastest this year?"
EDIT = "UPDATE config_ai_infra SET llm_temperature = 0.2"

console = Console(highlight=False, soft_wrap=True)


def main(*, interactive: bool = False) -> None:
    """Run it; with `interactive`, leave it running until Ctrl-C and print what to try."""
    with tempfile.TemporaryDirectory(prefix="hotconfig-demo-") as directory:
        Path(directory).chmod(0o755)  # as root, another user runs the server
        data = Path(directory) / "data"
        began = time.perf_counter()
        url = embedded.start(data)
        try:
            migrations.upgrade(url)
            with Admin(url, actor="demo") as admin:
                admin.init()
                say(f"PostgreSQL started, migrated, first profile created: {time.perf_counter() - began:.1f} s")
                with running_agent(url) as agent:
                    tour(url, admin, agent)
                    if interactive:
                        wait_for_edits(url, agent)
        finally:
            embedded.leave(data)


def tour(url: str, admin: Admin, agent: Agent) -> None:
    """Ask, edit, ask, look at the audit, roll back, ask."""
    say(f"a slide agent runs in process {agent.pid}; it reads hotconfig.current() for each question")
    agent.ask(QUESTION)

    say(f"somebody else edits, in another process, with plain SQL:\n  [green]$ psql -c {shlex.quote(EDIT)}[/green]")
    subprocess.run([embedded.bin_path() / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", EDIT, url], check=True)
    told_at, (edit, *_) = agent.change()["at"], admin.history(limit=1)
    took = f"[bold]{(told_at - edit.at.timestamp()) * 1000:.1f} ms[/bold]"
    say(f"the running agent had it {took} after the transaction published it, without a restart:")
    agent.ask(QUESTION)

    say("the audit has it, though no application wrote it:")
    for field, (old, new) in edit.changes.items():
        console.print(f"  version {edit.version} by {edit.actor}: {edit.domain}.{field} {old} -> {new}")

    say(f"and the way back, as version {admin.rollback(None).version}:")
    agent.change()
    agent.ask(QUESTION)


def wait_for_edits(url: str, agent: Agent) -> None:
    """Show each change and the next answer, until Ctrl-C."""
    psql = f"{embedded.bin_path() / 'psql'} {shlex.quote(url)} -c {shlex.quote(EDIT)}"
    say(f"your turn, from another terminal (Ctrl-C here ends it):\n  [green]{psql}[/green]")
    try:
        while True:
            say(f"told of {', '.join(agent.change()['paths'])}")
            agent.ask(QUESTION)
    except KeyboardInterrupt:
        console.print()


class Agent:
    """The agent's process, seen from here: `ask` shows its answer, `change` waits until it is told of one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid, self._in, self._out = process.pid, cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        self._changes: list[dict[str, Any]] = []

    def ask(self, question: str) -> None:
        self._in.write(f"{question}\n")
        self._in.flush()
        while "deck" not in (line := self._line()):
            self._changes.append(line)
        console.print(f"  agent: {line['deck']}\n         (stand-in for an LLM, called with {line['settings']})")

    def change(self) -> dict[str, Any]:
        return self._changes.pop(0) if self._changes else self._line()

    def _line(self) -> dict[str, Any]:
        line = self._out.readline()
        if not line:
            raise hotconfig.HotConfigError("the agent ended: see its error above")
        return dict(json.loads(line))


@contextmanager
def running_agent(url: str) -> Iterator[Agent]:
    """The agent, in a process that knows nothing but the address of the database."""
    command, pipe = [sys.executable, "-m", "hotconfig.demo"], subprocess.PIPE
    environment = {**os.environ, "HOTCONFIG_DATABASE_URL": url}
    # In a session of its own, since Ctrl-C is for the demo.
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, start_new_session=True)
    with process:
        yield Agent(process)
        cast(IO[str], process.stdin).close()


def be_agent() -> None:
    """The agent itself, which is what an application of yours does."""

    def told(change: hotconfig.Change) -> None:
        print(json.dumps({"paths": change.paths, "at": time.time()}), flush=True)

    with hotconfig.start():
        hotconfig.subscribe(told)
        for question in sys.stdin:
            with hotconfig.pinned() as cfg:
                print(json.dumps(stand_in_for_an_llm(question.strip(), cfg)), flush=True)


def stand_in_for_an_llm(question: str, cfg: hotconfig.ProfileConfig) -> dict[str, str]:
    """Not a model: a deterministic stand-in that shows the settings it was called with."""
    prompt = hashlib.sha256(cfg.prompts.system_prompt.encode()).hexdigest()[:8]
    temperature = f"[bold]temperature {cfg.ai_infra.llm_temperature:g}[/bold]"
    settings = f"{cfg.ai_infra.llm_endpoint}, {temperature}, prompt {prompt}"
    return {"deck": f'<div class="slide"><h1>{question}</h1></div>', "settings": settings}


def say(text: str) -> None:
    console.print(f"\n[bold cyan]•[/bold cyan] {text}")


if __name__ == "__main__":
    be_agent()
