"""Processes that read the configuration, to be stopped and killed: the fleet."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
from conftest import Connect

READER = """
import sys
from pydantic import model_validator
from pydantic_core import PydanticCustomError
import hotconfig

class Calm(hotconfig.ProfileConfig):
    @model_validator(mode="after")
    def _calm(self):
        if self.ai_infra.llm_temperature > 0.8:
            raise PydanticCustomError("hot", "at most 0.8 here")
        return self

model = Calm if sys.argv[1] == "calm" else hotconfig.ProfileConfig
client = hotconfig.Client(model=model, heartbeat=1000).start()
print("ready", flush=True)
sys.stdin.read()
"""


PATIENCE = 40.0  # seconds for programs that run beside other tests


class Start(Protocol):
    def __call__(self, *, calm: bool = False) -> subprocess.Popen[str]: ...


@pytest.fixture
def reader(database: str) -> Iterator[Start]:
    """Start a process that follows the default profile; a calm one rejects a temperature above 0.8."""
    with ExitStack() as stack:

        def start(*, calm: bool = False) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", READER, "calm" if calm else "plain"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"HOTCONFIG_DATABASE_URL": database},
            )
            stack.callback(end, process)
            return process

        yield start


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE)


def ready(*processes: subprocess.Popen[str]) -> None:
    """Wait until all of their clients have started."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"


def named(process: subprocess.Popen[str]) -> str:
    """As the registry calls it."""
    return f"{socket.gethostname()[:20]}.{process.pid}"


def straggler(connect: Connect, version: int) -> None:
    """A session that says for ever that it has seen this version."""
    connect(application_name=f"hotconfig:{version}:web.17:active")
