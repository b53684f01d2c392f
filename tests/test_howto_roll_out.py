"""docs/howto/roll-out-and-wait.md: its script takes back what it has made itself, and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from conftest import Connect
from editing import Editor
from running import straggler

from hotconfig.admin import Admin

PAGE = Path(__file__).parent.parent / "docs/howto/roll-out-and-wait.md"
SET = "ai_infra.llm_temperature=0.9"


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The command line as the script finds it."""
    command = tmp_path / "hotconfig"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hotconfig "$@"\n')
    command.chmod(0o755)
    return command


def roll_out(directory: Path, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = pages.save(PAGE, "roll-out.sh", directory)
    path = f"{directory}{os.pathsep}{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "HOTCONFIG_DATABASE_URL": database}
    return subprocess.run(
        ["bash", script, *arguments], check=False, capture_output=True, text=True, env=environ, timeout=50
    )


def test_nothing_of_its_own(command: Path, database: str, connect: Connect, editor: Editor) -> None:
    """When nothing differed there is nothing to take back, however late somebody is."""
    editor.tokens(5)
    version = editor.temperature(0.9)
    straggler(connect, 1)
    done = roll_out(command.parent, database, SET, "--wait", "0")
    assert (done.returncode, editor.version()) == (3, version), done.stderr
    assert json.loads(done.stdout)["edits"] == []


def test_somebody_else_s_edit(command: Path, database: str, connect: Connect, admin: Admin) -> None:
    """What was made of the profile since stays, and the roll back says that it did nothing."""
    admin.create_profile("canary")
    straggler(connect, 1)
    another = f"{shlex.quote(sys.executable)} -m hotconfig set --profile canary ai_infra.llm_max_tokens=5 >&2"
    command.write_text(command.read_text().replace("exec ", "") + f'code=$?\n[ "$1" = set ] && {another}\nexit $code\n')
    done = roll_out(command.parent, database, SET, "--profile", "canary", "--wait", "0")
    told = json.loads(done.stdout)
    assert (done.returncode, told["profile"]) == (3, "canary"), done.stderr
    assert f'document "profile/canary" is at version {told["version"] + 1}, not at {told["version"]}' in done.stderr
    canary = admin.snapshot("canary")
    assert (canary.version, canary.ai_infra.llm_temperature) == (told["version"] + 1, 0.9)
