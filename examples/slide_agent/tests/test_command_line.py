"""What is typed: `slide-agent ask`. (`run` is in test_page.py.)"""

from __future__ import annotations

import subprocess
import sys

from conftest import PATIENCE, Calls
from hotconfig.admin import Admin

from slide_agent.stand_in import LABEL


def slide_agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slide_agent", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)


def test_ask_prints_the_deck(admin: Admin, calls: Calls) -> None:
    """As HTML, and with which version it was made; the model and the database are those of the environment."""
    written = admin.update(None, {"ai_infra.llm_temperature": 0.15})
    done = slide_agent("ask", "How many apples?", "--max-slides", "4")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'<!-- profile "default", version {written.version} -->' in done.stdout
    assert done.stdout.count('<div class="slide">') == done.stdout.count(LABEL) == 2
    assert {call["temperature"] for call in calls() if call["to"] == "model"} == {0.15}


def test_what_is_wrong_is_said_in_a_line(admin: Admin, calls: Calls) -> None:
    """Without a traceback, and with exit code 1."""
    admin.update(None, {"ai_infra.llm_max_tokens": 5})
    done = slide_agent("ask", "Why?")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the answer has more than 5 tokens")
    assert len(done.stderr.splitlines()) == 1
    assert calls()
