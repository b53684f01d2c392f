"""A turn of the agent, and what an edit changes for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import hotconfig
import pytest
from conftest import Calls
from hotconfig.admin import Admin

from slide_agent.agent import SESSIONS, Agent, NoSuchSlide
from slide_agent.llm import Unanswered
from slide_agent.stand_in import GENIE_LABEL, LABEL, digest


def run(turns: Callable[[Agent], Awaitable[None]]) -> None:
    """Have an agent, and `turns` with it."""

    async def main() -> None:
        async with Agent.running() as agent:
            await turns(agent)

    asyncio.run(main())


async def edited(admin: Admin, values: dict[str, object]) -> None:
    """The default profile is another one, and the agent's subscribers have been told of it."""
    told = asyncio.Event()

    async def tell(_change: hotconfig.Change) -> None:
        told.set()

    with hotconfig.subscribe(tell):  # after the agent's own, which are called first
        admin.update(None, values)
        await told.wait()


def to_model(calls: Calls) -> list[dict[str, Any]]:
    return [call for call in calls() if call["to"] == "model"]


def to_genie(calls: Calls) -> list[tuple[str, str]]:
    return [(call["space_id"], call["conversation_id"]) for call in calls() if call["to"] == "Genie"]


def test_a_question_is_answered_with_slides(admin: Admin, calls: Calls) -> None:
    """The model is called with the profile's settings; placeholders of its prompts are filled."""
    admin.update(None, {"prompts.user_prompt_template": "Answer this: {question}"})

    async def turns(agent: Agent) -> None:
        turn = await agent.ask(agent.open(), "Why?", max_slides=3)
        cfg = hotconfig.current()
        assert (turn.version, turn.profile, turn.experiment) == (cfg.version, "default", cfg.mlflow.experiment_name)
        (slide,) = turn.slides
        assert LABEL in slide.html
        (call,) = to_model(calls)
        assert call["model"] == cfg.ai_infra.llm_endpoint
        assert call["temperature"] == cfg.ai_infra.llm_temperature
        assert call["max_tokens"] == cfg.ai_infra.llm_max_tokens
        system, user = call["messages"]
        assert system["content"] == cfg.prompts.system_prompt.replace("{max_slides}", "3")
        assert user["content"] == "Answer this: Why?"
        assert digest(system["content"]) in slide.html

    run(turns)


def test_data_comes_from_the_genie_space(admin: Admin, calls: Calls) -> None:
    """The model calls the tool; what Genie answers is on a slide."""

    async def turns(agent: Agent) -> None:
        turn = await agent.ask(agent.open(), "How many apples?")
        assert GENIE_LABEL in turn.slides[1].html
        assert "apples" in turn.slides[1].html
        ((space, _),) = to_genie(calls)
        assert space == hotconfig.current().genie.space_id
        first, second = to_model(calls)
        assert first["tools"][0]["function"]["name"] == "query_genie_space"
        assert [message["role"] for message in second["messages"][1:]] == ["user", "assistant", "tool"]

    run(turns)


def test_a_session_survives_a_change(admin: Admin, calls: Calls) -> None:
    """Its deck and its exchanges stay; the next turn is of the new version, and of that alone."""

    async def turns(agent: Agent) -> None:
        session = agent.open()
        first = await agent.ask(session, "One?")
        await edited(admin, {"ai_infra.llm_temperature": 0.25, "prompts.user_prompt_template": "New: {question}"})
        assert agent.sessions[session.id] is session
        assert session.slides == first.slides
        second = await agent.ask(session, "Two?")
        assert second.version > first.version
        assert "<th>temperature</th><td>0.25</td>" in second.slides[0].html
        assert "<th>earlier exchanges</th><td>1</td>" in second.slides[0].html
        asked = [m["content"] for m in to_model(calls)[-1]["messages"] if m["role"] == "user"]
        assert asked == ["New: One?", "New: Two?"]

    run(turns)


def test_the_client_is_rebuilt_when_its_settings_change(admin: Admin, calls: Calls) -> None:
    """And only then."""

    async def turns(agent: Agent) -> None:
        before = agent.llm
        await edited(admin, {"prompts.system_prompt": "You draw."})
        assert agent.llm is before
        await edited(admin, {"ai_infra.llm_endpoint": "another", "ai_infra.llm_max_tokens": 2000})
        assert agent.llm is not before
        assert agent.llm.ai == hotconfig.current().ai_infra
        assert agent.llm.client.timeout != before.client.timeout

    run(turns)


def test_a_client_that_is_behind_is_not_called(admin: Admin, calls: Calls) -> None:
    """A turn may begin between a change and the call of the subscriber that rebuilds."""

    async def turns(agent: Agent) -> None:
        behind = agent.llm
        await edited(admin, {"ai_infra.llm_endpoint": "another"})
        agent.llm = behind  # as it was a moment before
        await agent.ask(agent.open(), "Why?")
        assert [call["model"] for call in to_model(calls)] == ["another"]

    run(turns)


def test_a_genie_conversation_ends_with_its_space(admin: Admin, calls: Calls) -> None:
    """It is gone on with while the space is the same, also after other changes; and not after a way out and back."""
    home = admin.snapshot().genie.space_id

    async def turns(agent: Agent) -> None:
        session = agent.open()
        await agent.ask(session, "How many?")
        await edited(admin, {"ai_infra.llm_temperature": 0.3})
        await agent.ask(session, "How many more?")
        await edited(admin, {"genie.space_id": "elsewhere"})
        assert session.conversation is None
        await agent.ask(session, "How many there?")
        await edited(admin, {"genie.space_id": home})
        await agent.ask(session, "How many now?")

    run(turns)
    (one, first), (two, second), (three, third), (four, fourth) = to_genie(calls)
    assert (one, two, three, four) == (home, home, "elsewhere", home)
    assert first == second
    assert len({first, third, fourth}) == 3


def test_selected_slides_are_edited_in_place(admin: Admin, calls: Calls) -> None:
    """The model gets the instructions and these slides; the others stay what they are, as do the style sheets."""

    async def turns(agent: Agent) -> None:
        session = agent.open()
        first, second = (await agent.ask(session, "How many apples?")).slides
        turn = await agent.edit(session, "shorter", [first.id])
        made, kept = turn.slides
        assert kept == second
        assert "edited: shorter" in made.html
        assert made.id != first.id
        assert made.style == first.style
        system, *_, user = to_model(calls)[-1]["messages"]
        assert system["content"].endswith(hotconfig.current().prompts.slide_editing_instructions)
        assert user["content"] == f"shorter\n\n{first.html}\n<style>{first.style}</style>"

    run(turns)


def test_slides_that_were_replaced_cannot_be_edited(admin: Admin, calls: Calls) -> None:
    """Whoever selected them sees another deck than there is; the deck stays as it is, and the model is not asked."""

    async def turns(agent: Agent) -> None:
        session = agent.open()
        (old,) = (await agent.ask(session, "One?")).slides
        (new,) = (await agent.ask(session, "Two?")).slides
        for selected in ([old.id], [old.id, new.id], []):
            with pytest.raises(NoSuchSlide):
                await agent.edit(session, "shorter", selected)
        assert session.slides == (new,)
        assert len(to_model(calls)) == 2

    run(turns)


def test_an_answer_that_was_cut_off_is_none(admin: Admin, calls: Calls) -> None:
    """The deck stays as it was, and the error says what to change."""

    async def turns(agent: Agent) -> None:
        session = agent.open()
        before = (await agent.ask(session, "One?")).slides
        await edited(admin, {"ai_infra.llm_max_tokens": 5})
        with pytest.raises(Unanswered, match="raise ai_infra"):
            await agent.ask(session, "Two?")
        assert session.slides == before
        assert len(session.exchanges) == 1

    run(turns)


def test_the_oldest_sessions_go(admin: Admin, calls: Calls) -> None:
    """As many as fit are kept, those that were used last."""

    async def turns(agent: Agent) -> None:
        first, second = agent.open(), agent.open()
        for _ in range(SESSIONS - 2):
            agent.open()
        assert agent.find(first.id) is first
        third = agent.open()
        assert len(agent.sessions) == SESSIONS
        assert agent.find(second.id) is None
        assert agent.find(first.id) is first
        assert agent.find(third.id) is third

    run(turns)
