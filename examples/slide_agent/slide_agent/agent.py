"""One turn of the agent: a question, what the model looks up for it, and the slides that it answers with.

A turn is pinned: whatever is edited meanwhile, each of its calls is made with the settings of one version. What
outlives a turn, the sessions, is kept apart from the configuration, so no reload touches it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, cast

import hotconfig
from databricks.sdk import WorkspaceClient
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, ConfigDict

from slide_agent import genie
from slide_agent.deck import Slide, slides
from slide_agent.llm import LLM, Unanswered

# How often a model may look something up in one turn, and how many exchanges it is reminded of: both cost tokens.
_LOOKUPS = 12
_REMEMBERED = 10
# How many sessions are kept: they are in memory.
SESSIONS = 1000


class NoSuchSlide(Exception):
    """A slide that was selected is no longer in the deck."""


class Turn(BaseModel):
    """What came of one: the session's deck, and which configuration has made the newest part of it."""

    model_config = ConfigDict(frozen=True)

    version: int
    profile: str
    experiment: str
    slides: tuple[Slide, ...]


@dataclass(eq=False)
class Session:
    """One person's deck, and how it came about."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    slides: tuple[Slide, ...] = ()
    # Questions as they were typed: filled into today's template, all of a request is of one version.
    exchanges: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    made: Turn | None = None  # the newest turn
    conversation: genie.Conversation | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time: it replaces the deck


class Agent:
    """Answers with slides; one for a process, which `running` makes."""

    def __init__(self, openai: AsyncOpenAI, workspace: WorkspaceClient, cfg: hotconfig.ProfileConfig) -> None:
        self._openai = openai
        self._workspace = workspace
        self.llm = LLM.build(cfg.ai_infra, openai)
        self.sessions: OrderedDict[str, Session] = OrderedDict()  # what was used last is at the end

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Where the model and Genie are, and with which key, their clients read from the environment."""
        with hotconfig.start():
            async with AsyncOpenAI() as openai:
                cfg = hotconfig.current()
                agent = cls(openai, WorkspaceClient(), cfg)
                # Coroutines, so they run in this loop, between two steps of the turns.
                with (
                    hotconfig.subscribe(agent.rebuild, on=lambda c: c.ai_infra, since=cfg),
                    hotconfig.subscribe(agent.leave_space, on=lambda c: c.genie.space_id, since=cfg),
                ):
                    yield agent

    async def rebuild(self, change: hotconfig.Change) -> None:
        """Another client of the model. A turn that runs has the one that it began with."""
        self.llm = LLM.build(change.new.ai_infra, self._openai)

    async def leave_space(self, _change: hotconfig.Change) -> None:
        """Drop every conversation: Genie would answer the next question in it with the old space's data."""
        for session in self.sessions.values():
            session.conversation = None

    def open(self) -> Session:
        """A new session, without slides. Whichever has not been used for longest goes, if there are too many."""
        session = Session()
        self.sessions[session.id] = session
        if len(self.sessions) > SESSIONS:
            self.sessions.popitem(last=False)
        return session

    def find(self, session_id: str) -> Session | None:
        """The session of that id, if it is still there."""
        if session_id in self.sessions:
            self.sessions.move_to_end(session_id)
        return self.sessions.get(session_id)

    async def ask(self, session: Session, question: str, *, max_slides: int = 10) -> Turn:
        """A new deck for the session.

        Raises:
            Unanswered: the model sent no slides.
            openai.OpenAIError: its endpoint does not answer, or refuses.
        """
        async with session.turn:
            with hotconfig.pinned() as cfg:
                user = hotconfig.Prompts.fill(cfg.prompts.user_prompt_template, question=question)
                system = hotconfig.Prompts.fill(cfg.prompts.system_prompt, max_slides=str(max_slides))
                answer = await self._answer(session, system, user)
                session.slides = _found(answer)
                return _ended(session, cfg, question, answer)

    async def edit(self, session: Session, wish: str, selected: Collection[str]) -> Turn:
        """Replace the selected slides by what the model makes of them, where the first of them is.

        Raises:
            NoSuchSlide: one of `selected`, ids of slides, is not in the deck, or there is none.
            Unanswered, openai.OpenAIError: as `ask` does.
        """
        async with session.turn:
            chosen = [slide for slide in session.slides if slide.id in selected]
            if not chosen or len(chosen) < len(set(selected)):
                raise NoSuchSlide("a selected slide is no longer in the deck: select again")
            with hotconfig.pinned() as cfg:
                user = hotconfig.Prompts.fill(cfg.prompts.user_prompt_template, question=wish)
                system = f"{cfg.prompts.system_prompt}\n\n{cfg.prompts.slide_editing_instructions}"
                system = hotconfig.Prompts.fill(system, max_slides=str(len(session.slides)))
                answer = await self._answer(session, system, f"{user}\n\n{_shown(chosen)}")
                made = _found(answer, style=chosen[0].style)
                place = session.slides.index(chosen[0])
                rest = [slide for slide in session.slides if slide not in chosen]
                session.slides = (*rest[:place], *made, *rest[place:])
                return _ended(session, cfg, wish, answer)

    async def _answer(self, session: Session, system: str, user: str) -> str:
        """Ask the model, and look up for it what it wants to know, until it answers."""
        cfg = hotconfig.current()
        # A subscriber is told a moment after the new snapshot is there, so `llm` may be of the version before.
        llm = self.llm if self.llm.ai == cfg.ai_infra else LLM.build(cfg.ai_infra, self._openai)
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": system},
            *_remembered(session, cfg.prompts.user_prompt_template),
            {"role": "user", "content": user},
        ]
        for _ in range(_LOOKUPS):
            message = await llm.answer(messages, [genie.tool()])
            if not message.tool_calls:
                return message.content or ""
            messages.append(cast(ChatCompletionMessageParam, message.to_dict()))
            for call in message.tool_calls:
                if call.type == "function" and call.function.name == genie.NAME:
                    found, session.conversation = await genie.query(
                        call.function.arguments, self._workspace, session.conversation
                    )
                else:
                    found = f"error: the only tool is {genie.NAME}"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
        raise Unanswered(f"the model looked up {_LOOKUPS} things and did not answer: ask for less at a time")


def _remembered(session: Session, template: str) -> Sequence[ChatCompletionMessageParam]:
    messages: list[ChatCompletionMessageParam] = []
    for question, answer in session.exchanges:
        messages.append({"role": "user", "content": hotconfig.Prompts.fill(template, question=question)})
        messages.append({"role": "assistant", "content": answer})
    return messages


def _shown(chosen: Sequence[Slide]) -> str:
    """Slides as the model is shown them, with their style sheets, without which it could not keep to the layout."""
    sheets = dict.fromkeys(slide.style for slide in chosen if slide.style)
    return "\n".join([*(slide.html for slide in chosen), *(f"<style>{sheet}</style>" for sheet in sheets)])


def _found(answer: str, *, style: str = "") -> tuple[Slide, ...]:
    found = slides(answer, style=style)
    if not found:
        raise Unanswered('the model answered without a <div class="slide">: look at prompts.system_prompt')
    return found


def _ended(session: Session, cfg: hotconfig.ProfileConfig, question: str, answer: str) -> Turn:
    session.exchanges.append((question, answer))
    session.made = Turn(
        version=cfg.version,
        profile=cfg.profile.name,
        experiment=cfg.mlflow.experiment_name,
        slides=session.slides,
    )
    return session.made
