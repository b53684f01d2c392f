"""The agent for a browser: a page, what it asks for, and a stream that tells it of each new version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import hotconfig
import openai
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from slide_agent.agent import Agent, NoSuchSlide, Session, Turn
from slide_agent.llm import Unanswered

PAGE = Path(__file__).parent / "page"
# The frames with slides inherit this: nothing in them runs, loads or sends, even if a sanitiser should let it through.
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Agent.running() as agent:
        app.state.agent = agent
        yield


app = FastAPI(title="Slide agent", lifespan=lifespan)
app.mount("/page", StaticFiles(directory=PAGE), name="page")


async def _agent(request: Request) -> Agent:
    agent: Agent = request.app.state.agent
    return agent


OneAgent = Annotated[Agent, Depends(_agent)]


async def _session(agent: OneAgent, session_id: str) -> Session:
    session = agent.find(session_id)
    if session is None:
        raise HTTPException(404, "there is no such session any more: ask again to open another one")
    return session


OneSession = Annotated[Session, Depends(_session)]


class Opened(BaseModel):
    id: str
    made: Turn | None


class Question(BaseModel):
    question: Annotated[str, Field(min_length=1)]
    max_slides: Annotated[int, Field(ge=1, le=50)] = 10


class Wish(BaseModel):
    wish: Annotated[str, Field(min_length=1)]
    slides: Annotated[list[str], Field(min_length=1)]
    """The ids of those that it is about."""


class Live(BaseModel):
    """What the page shows of the configuration."""

    version: int
    profile: str
    endpoint: str
    temperature: float
    max_tokens: int
    space: str


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})


@app.post("/sessions", status_code=201)
async def open_session(agent: OneAgent) -> Opened:
    return Opened(id=agent.open().id, made=None)


@app.get("/sessions/{session_id}")
async def session(session: OneSession) -> Opened:
    return Opened(id=session.id, made=session.made)


@app.post("/sessions/{session_id}/ask")
async def ask(agent: OneAgent, session: OneSession, body: Question) -> Turn:
    return await agent.ask(session, body.question, max_slides=body.max_slides)


@app.post("/sessions/{session_id}/edit")
async def edit(agent: OneAgent, session: OneSession, body: Wish) -> Turn:
    return await agent.edit(session, body.wish, body.slides)


@app.get("/configuration", response_class=EventSourceResponse)
async def configuration() -> AsyncIterator[ServerSentEvent]:
    """The configuration now, and again each time that it is another one."""
    cfg = hotconfig.current()
    yield _live(cfg)
    async with hotconfig.changes(since=cfg) as changes:  # nothing between the two is lost
        async for change in changes:
            yield _live(change.new)


def _live(cfg: hotconfig.ProfileConfig) -> ServerSentEvent:
    ai = cfg.ai_infra
    live = Live(
        version=cfg.version,
        profile=cfg.profile.name,
        endpoint=ai.llm_endpoint,
        temperature=ai.llm_temperature,
        max_tokens=ai.llm_max_tokens,
        space=cfg.genie.space_name,
    )
    return ServerSentEvent(data=live)


@app.get("/health")
async def health() -> dict[str, object]:
    """200 also while the database is away: the agent works on with the last version. The error may name hosts."""
    now = hotconfig.status()
    shown = {"state": now.state, "version": now.document_version, "rejected": now.rejected_version}
    return shown | {"error": now.error and str(now.error)}


@app.exception_handler(NoSuchSlide)
async def no_such_slide(_request: Request, error: NoSuchSlide) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 409)


@app.exception_handler(Unanswered)
@app.exception_handler(openai.OpenAIError)
async def unanswered(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"no answer from the model: {error}"}, 502)


@app.exception_handler(hotconfig.Closed)
async def closed(_request: Request, _error: hotconfig.Closed) -> JSONResponse:
    return JSONResponse({"detail": "the server is being stopped: try again in a moment"}, 503)
