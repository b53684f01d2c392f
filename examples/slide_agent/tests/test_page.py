"""The page in a real browser, of the real program: its database, its stand-in, and psql are processes of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

import pytest
from conftest import PATIENCE
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from slide_agent.run import EDIT
from slide_agent.stand_in import LABEL

CHROMIUM = Path("/usr/bin/chromium")
RUNS = "it ran"
# As much of it as runs says so on the console, which a frame without an origin of its own can do too.
SAY = f"console.log('{RUNS}')"
HOSTILE = f"""<script>{SAY}</script><img src="data:," onerror="{SAY}"><svg onload="{SAY}"></svg>
<iframe srcdoc="<script>{SAY}</script>"></iframe><p>after</p>"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium here: apt-get install chromium")


@dataclass
class Program:
    """`slide-agent run`, and what it has printed."""

    process: subprocess.Popen[str]
    url: str
    stand_in: str
    psql: str

    def edit(self, values: str) -> None:
        """Run the printed psql command, with other values to set."""
        *command, statement = shlex.split(self.psql)
        assert statement == EDIT
        command.append(f"UPDATE config_ai_infra SET {values}")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)


@contextmanager
def running(data: Path) -> Iterator[Program]:
    """On a database of its own, as on its first day; ended with Ctrl-C."""
    command = [sys.executable, "-m", "slide_agent", "run", "--port", "0", "--database", f"embedded:{data}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = ""
        while EDIT not in printed:
            line = cast(IO[str], process.stdout).readline()
            assert line, f"it has ended, and printed only: {printed}"
            printed += line
        stand_in, _, url = re.findall(r"http://127\.0\.0\.1:\d+", printed)
        try:
            yield Program(process, url, stand_in, printed.splitlines()[-1].strip())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def program(enterable: Path) -> Iterator[Program]:
    with running(enterable / "page") as program:
        yield program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    arguments += ["--disable-component-update", "--disable-sync"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's own, which root cannot have; not that of the frames
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1000)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    yield page
    page.close()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def version(page: Page) -> int:
    """The one that the page shows."""
    shown = re.match(r"version (\d+) ", page.get_by_role("status", name="configuration").inner_text())
    assert shown
    return int(shown[1])


def said(page: Page) -> list[str]:
    """What is said on its console from now on."""
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    return messages


def test_the_page_follows_the_configuration(program: Program, page: Page) -> None:
    """Ask; edit with psql; the page has the new version without a reload, the next deck the new settings; edit it."""
    program.edit("llm_temperature = 0.7")  # whatever another test has left
    page.goto(program.url)
    configuration = page.get_by_role("status", name="configuration")
    expect(configuration).to_contain_text("temperature 0.7")
    before = version(page)
    page.evaluate("window.untouched = true")  # a reload would forget it

    ask(page, "How many apples were sold?")
    first, second = page.frame_locator("iframe >> nth=0"), page.frame_locator("iframe >> nth=1")
    expect(first.locator("body")).to_contain_text(LABEL)
    expect(first.locator("body")).to_contain_text(re.compile(r"temperature\s*0\.7"))
    expect(second.locator("body")).to_contain_text("apples")
    expect(page.locator("#made")).to_contain_text(f"version {before} ")

    program.edit("llm_temperature = 0.35, llm_endpoint = 'another-endpoint'")
    expect(configuration).to_contain_text(f"version {before + 1} ")
    expect(configuration).to_contain_text("another-endpoint · temperature 0.35")
    expect(first.locator("body")).to_contain_text(re.compile(r"temperature\s*0\.7"))  # the deck is what it was

    ask(page, "How many pears were sold?")
    expect(page.locator("#made")).to_contain_text(f"version {before + 1} ")
    expect(first.locator("body")).to_contain_text("pears were sold?")
    expect(first.locator("body")).to_contain_text(re.compile(r"temperature\s*0\.35"))
    expect(first.locator("body")).to_contain_text("another-endpoint")

    edit = page.get_by_role("button", name="Edit")
    expect(edit).to_be_disabled()
    page.get_by_label("select slide 1").check()
    page.get_by_label("Change the selected slides").fill("Be brief")
    edit.click()
    expect(first.locator("h1")).to_have_text("edited: Be brief")
    expect(second.locator("h1")).to_have_text("What was looked up")
    assert page.evaluate("window.untouched")

    page.reload()  # the session is in the address
    expect(first.locator("h1")).to_have_text("edited: Be brief")


def test_a_problem_is_shown(program: Program, page: Page) -> None:
    """What the server says is wrong stands on the page, beside the deck that there is."""
    page.goto(program.url)
    ask(page, "Why?")
    expect(page.locator("iframe")).to_have_count(1)
    program.edit("llm_max_tokens = 5")
    expect(page.get_by_role("status", name="configuration")).to_contain_text(" 5 tokens")
    ask(page, "Why not?")
    expect(page.get_by_role("alert")).to_contain_text("raise ai_infra.llm_max_tokens")
    program.edit("llm_max_tokens = 60000")
    expect(page.locator("iframe")).to_have_count(1)


def test_hostile_markup_runs_where_nothing_stops_it(page: Page) -> None:
    """Else the two tests below would show nothing."""
    messages = said(page)
    with page.expect_console_message(lambda message: message.text == RUNS):
        page.set_content(HOSTILE)
    assert RUNS in messages


def test_a_hostile_deck_does_not_run(program: Program, page: Page) -> None:
    """The model repeats what it was asked, scripts and all; the slide is shown, and nothing of it runs."""
    messages = said(page)
    page.goto(program.url)
    ask(page, HOSTILE)
    slide = page.frame_locator("iframe >> nth=0")
    expect(slide.locator("body")).to_contain_text("after")
    page.wait_for_load_state("load")
    assert RUNS not in messages
    expect(slide.locator("script, iframe, [onerror], [onload]")).to_have_count(0)


def test_the_frame_alone_stops_a_hostile_slide(program: Program, page: Page) -> None:
    """Nothing runs, even if a slide should come through as the model sent it."""

    def unclean(route: Route) -> None:
        slide = {"id": "1", "html": HOSTILE, "style": ""}
        turn = {"version": 1, "profile": "default", "experiment": "/", "slides": [slide]}
        route.fulfill(body=json.dumps(turn), content_type="application/json")

    messages = said(page)
    page.route("**/ask", unclean)
    page.goto(program.url)
    ask(page, "Why?")
    slide = page.frame_locator("iframe >> nth=0")
    expect(slide.locator("body")).to_contain_text("after")
    expect(slide.locator("script, [onerror], [onload]")).to_have_count(3)
    page.wait_for_load_state("load")
    assert RUNS not in messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_ends_all_of_it(number: signal.Signals, enterable: Path, page: Page) -> None:
    """Also while a page is open: exit code 0, and no server is left, of the page, the stand-in or the database."""
    with running(enterable / f"ended-{number}") as program:
        page.goto(program.url)
        expect(page.get_by_role("status", name="configuration")).to_contain_text("version 1 ")
        sockets = re.search(r"host=([^&]+)&port=(\d+)", program.psql)
        assert sockets
        database = Path(f"{sockets[1]}/.s.PGSQL.{sockets[2]}")
        assert database.exists()

        program.process.send_signal(number)

        assert program.process.wait(PATIENCE) == 0
        assert not database.exists()
        for address in (urlsplit(url) for url in (program.url, program.stand_in)):
            with socket.socket() as client:
                assert client.connect_ex((str(address.hostname), address.port or 0)) != 0
