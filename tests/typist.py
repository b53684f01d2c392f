"""Somebody who types in an editor: a program of the test's."""

from __future__ import annotations

import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Protocol

import pytest

TEMPERATURE = "ai_infra.llm_temperature"


class Types(Protocol):
    def __call__(self, code: str) -> str: ...


@pytest.fixture
def where(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line connects to the test's database, and keeps its files in the test's directory."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "true")


@pytest.fixture
def types(where: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """Make somebody type: code with the `file`, its `text` and `save(text)`; how often it was opened is `opened`."""

    def types(code: str) -> str:
        script = tmp_path / "editor.py"
        count = tmp_path / "opened"
        script.write_text(
            "import os, pathlib, sys, time\n"
            "file = pathlib.Path(sys.argv[1])\n"
            "text = file.read_bytes().decode()\n"
            "save = lambda text: file.write_bytes(text.encode())\n"
            f"count = pathlib.Path({str(count)!r})\n"
            "opened = len(count.read_text()) + 1 if count.exists() else 1\n"
            "count.write_text('x' * opened)\n" + code + "\n"
        )
        command = shlex.join([sys.executable, str(script)])
        monkeypatch.setenv("EDITOR", command)
        return command

    return types


WARMER = "save(text.replace('llm_temperature: 0.7', 'llm_temperature: 0.2'))"
WRONG = "save(text.replace('llm_temperature: 0.7', 'llm_temperature: 1.5'))"


def kept(told: str) -> Path:
    """The file that is named, which nobody else can read."""
    found = re.search(r"What you typed is in (\S+?/profile\.yaml)", told)
    assert found, told
    file = Path(found[1])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    return file


def left(directory: Path) -> list[Path]:
    return list(directory.glob("hotconfig-edit-*"))
