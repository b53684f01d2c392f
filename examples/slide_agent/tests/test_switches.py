"""The promise that an agent needs most: a deck is made with one version of the configuration, never with two."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hotconfig
import pytest
import uvicorn
from conftest import PATIENCE, point_to
from fastapi import Request, Response
from hotconfig.admin import Admin
from starlette.middleware.base import RequestResponseEndpoint

from slide_agent import stand_in
from slide_agent.agent import Agent, Turn

SWITCHES = 100
AT_A_TIME = 4
# Every setting of one is another one in the other, and each text has the name of its profile in it.
NUMBERS = {"red": (0.1, 1111), "blue": (0.9, 9999)}
PROFILES: dict[str, dict[str, object]] = {
    name: {
        "ai_infra.llm_endpoint": f"{name}-endpoint",
        "ai_infra.llm_temperature": temperature,
        "ai_infra.llm_max_tokens": tokens,
        "genie.space_id": f"{name}-space",
        "genie.space_name": f"Space of {name}",
        "genie.description": f"Data of {name}",
        "mlflow.experiment_name": f"/{name}",
        "prompts.system_prompt": f"You are an analyst of {name}.",
        "prompts.slide_editing_instructions": f"Edit as {name} does.",
        "prompts.user_prompt_template": f"{name} asks: {{question}}",
    }
    for name, (temperature, tokens) in NUMBERS.items()
}
Calls = list[dict[str, Any]]


class Switching:
    """A stand-in that makes the other profile the default whenever it is asked something, before it answers."""

    def __init__(self, admin: Admin) -> None:
        self.count = 0
        self._admin = admin
        self._turn = threading.Lock()  # guards the count, and which profile it is: one switch at a time
        self._app = stand_in.create()
        self._app.middleware("http")(self._switching)

    def to(self, name: str) -> None:
        """That profile is the default, and the agent has it."""
        hotconfig.wait_for(self._admin.activate(name).version, timeout=PATIENCE)
        assert hotconfig.current().profile.name == name

    def calls(self) -> Calls:
        return list(self._app.state.calls)

    def _switch(self) -> None:
        with self._turn:
            self.to("blue" if hotconfig.current().profile.name == "red" else "red")
            self.count += 1

    async def _switching(self, request: Request, answer: RequestResponseEndpoint) -> Response:
        await asyncio.to_thread(self._switch)
        return await answer(request)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Over HTTP as ever, here in a thread."""
        server = uvicorn.Server(uvicorn.Config(self._app, log_level="warning"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="stand-in")
            thread.start()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join()


def test_no_deck_mixes_two_versions(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 times, while the model or Genie is at work, another profile becomes the default; 4 turns at a time.

    What a turn has called them with is all of the one profile that the turn says, and both profiles occur.
    """
    for name, values in PROFILES.items():
        admin.create_profile(name)
        admin.update(name, values)
    switching = Switching(admin)
    turns: dict[str, Turn] = {}
    numbers = itertools.count(1)

    async def ask_and_edit(agent: Agent) -> None:
        session = agent.open()
        asked, wished = (f"question {next(numbers)}: how many?" for _ in range(2))
        turns[asked] = deck = await agent.ask(session, asked)
        turns[wished] = await agent.edit(session, wished, [slide.id for slide in deck.slides])

    async def work(agent: Agent) -> None:
        while switching.count < SWITCHES:
            await ask_and_edit(agent)

    async def main() -> None:
        async with Agent.running() as agent:
            for name in PROFILES:  # one after the other first: so each is the one that a turn begins with
                await asyncio.to_thread(switching.to, name)
                await ask_and_edit(agent)
            await asyncio.gather(*(work(agent) for _ in range(AT_A_TIME)))

    with switching.served() as url:
        point_to(url, monkeypatch)
        asyncio.run(main())
    assert switching.count >= SWITCHES
    assert {turn.profile for turn in turns.values()} == set(PROFILES)
    talks = {(call["conversation_id"], call["space_id"]) for call in switching.calls() if call["to"] == "Genie"}
    assert len(talks) == len(dict(talks))  # none was gone on with in another space
    for question, turn in turns.items():
        calls = [call for call in switching.calls() if question in last(call)]
        # Asked, looked up, asked again, and before each answer a switch: so there were two profiles to mix.
        assert [call["to"] for call in calls] == ["model", "Genie", "model"]
        assert [settings(call) for call in calls] == [{turn.profile}] * 3
        assert turn.experiment == f"/{turn.profile}"
        assert {shown(slide.html) for slide in turn.slides} == {(f"{turn.profile}-endpoint", *NUMBERS[turn.profile])}


def last(call: dict[str, Any]) -> str:
    """What was asked in it: what was asked before is in it too, and on the slides that are to be edited."""
    if call["to"] == "Genie":
        return str(call["content"])
    return str([message["content"] for message in call["messages"] if message["role"] == "user"][-1]).partition("<")[0]


def settings(call: dict[str, Any]) -> set[str]:
    """The profiles that have a setting in this call."""
    if call["to"] == "Genie":
        return names(call["space_id"]) | names(call["content"])
    system, *others = call["messages"]
    texts = [call["model"], str(call["tools"]), system["content"]]
    # An answer, and a slide that is to be edited, may be of another turn; what Genie said to this one is behind them.
    texts += [message["content"].partition("<div")[0] for message in others if message["role"] == "user"]
    texts += [message["content"] for message in others[-1:] if message["role"] == "tool"]
    numbers = {name for name, (temperature, _) in NUMBERS.items() if temperature == call["temperature"]}
    numbers |= {name for name, (_, tokens) in NUMBERS.items() if tokens == call["max_tokens"]}
    assert all(names(text) for text in texts)
    return numbers.union(*(names(text) for text in texts))


def names(text: str) -> set[str]:
    return set(re.findall(r"\b(?:red|blue)\b", text))


def shown(slide: str) -> tuple[str, float, int]:
    """The settings that a slide shows."""
    endpoint, temperature, tokens = re.findall(r"<th>(?:model|temperature|max tokens)</th><td>(.+?)</td>", slide)
    return endpoint, float(temperature), int(tokens)
