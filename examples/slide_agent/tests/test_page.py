"""The page in a real browser, of the real program."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from programs import Program, port, running
from psycopg.conninfo import conninfo_to_dict

from slide_agent.stand_in import LABEL

CHROMIUM = Path("/usr/bin/chromium")
RUNS = "it ran"
# As much of it as runs says so on the console, which a frame without an origin of its own can do too.
SAY = f"console.log('{RUNS}')"
HOSTILE = f"""<script>{SAY}</script><img src="data:," onerror="{SAY}"><svg onload="{SAY}"></svg>
<iframe srcdoc="<script>{SAY}</script>"></iframe><p>after</p>"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium here: apt-get install chromium")


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
    expect(page.locator("#made")).to_contain_text("older than the configuration")
    page.reload()  # the session is in the address
    expect(page.locator("#made")).to_contain_text(f"version {before} of profile default")
    expect(page.locator("#made")).to_contain_text("older than the configuration")
    page.evaluate("window.untouched = true")

    ask(page, "How many pears were sold?")
    expect(page.locator("#made")).to_contain_text(f"version {before + 1} ")
    expect(first.locator("body")).to_contain_text("pears were sold?")
    expect(first.locator("body")).to_contain_text(re.compile(r"temperature\s*0\.35"))
    expect(first.locator("body")).to_contain_text("another-endpoint")
    expect(page.locator("#made")).not_to_contain_text("older")

    edit = page.get_by_role("button", name="Edit")
    expect(edit).to_be_disabled()
    page.get_by_label("select slide 1").check()
    page.get_by_label("Change the selected slides").fill("Be brief")
    edit.click()
    expect(first.locator("h1")).to_have_text("edited: Be brief")
    expect(second.locator("h1")).to_have_text("What was looked up")
    assert page.evaluate("window.untouched")

    page.reload()
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


def test_a_rejected_version_is_shown(program: Program, page: Page) -> None:
    """Which one, which serves on, and why; until it is corrected."""
    program.edit("llm_temperature = 0.7")
    page.goto(program.url)
    expect(page.get_by_role("status", name="configuration")).to_contain_text("temperature 0.7")
    health = page.get_by_role("status", name="health")
    expect(health).to_be_empty()
    good = version(page)

    program.sql("ALTER TABLE config_ai_infra DROP CONSTRAINT config_ai_infra_llm_temperature_range")
    program.edit("llm_temperature = 2")
    expect(health).to_contain_text(f"version {good + 1} was rejected, version {good} serves on")
    expect(health).to_contain_text("ai_infra.llm_temperature")
    assert version(page) == good

    program.edit("llm_temperature = 0.7")
    expect(health).to_be_empty()


def test_a_session_that_is_gone(program: Program, page: Page) -> None:
    """The page says so, and the next question opens another one."""
    page.goto(f"{program.url}/#1")
    expect(page.get_by_role("alert")).to_contain_text("no such session any more")
    ask(page, "Why?")
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
        parts = conninfo_to_dict(program.database)
        database = Path(f"{parts['host']}/.s.PGSQL.{parts['port']}")
        assert database.exists()

        program.process.send_signal(number)

        assert program.process.wait(PATIENCE) == 0
        assert not database.exists()
        for url in (program.url, program.stand_in):
            with socket.socket() as client:
                assert client.connect_ex(("127.0.0.1", port(url))) != 0
