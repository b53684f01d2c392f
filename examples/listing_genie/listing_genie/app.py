"""The application over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import hotconfig
import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from listing_genie import images, stand_in, store
from listing_genie.images import Busy, Draw, Studio
from listing_genie.settings import ImageType, Settings
from listing_genie.store import GenerationSession, ImageStatus, Intent, SessionKeyword, SessionStatus

router = APIRouter()


def create(data: Path, client: hotconfig.Client[Settings]) -> FastAPI:
    """The application, with its files in the directory `data`; it starts and closes the client."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.images = data / "images"
        app.state.store = store.opened(data / "listing.db")
        with app.state.store.begin() as db:
            images.recover(db, app.state.images)
        with client:
            app.state.client = client
            yield
        app.state.store.kw["bind"].dispose()

    app = FastAPI(title="Listing genie", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(Busy, _busy)
    return app


# ---- what an endpoint depends on


def _transaction(request: Request) -> Iterator[Session]:
    with request.app.state.store.begin() as db:
        yield db


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.client.current()
    return settings


async def _draw() -> Draw:
    return stand_in.draw


# "function": it is committed before the answer is sent, so whoever has the answer reads what it says.
Database = Annotated[Session, Depends(_transaction, scope="function")]


def _session(db: Database, session_id: str) -> GenerationSession:
    found = db.get(GenerationSession, session_id)
    if found is None:
        raise HTTPException(404, "there is no such session: it may have expired")
    return found


OneSession = Annotated[GenerationSession, Depends(_session)]

# ---- what is sent and answered


class Keyword(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    keyword: Annotated[str, Field(min_length=1, max_length=100)]
    intent_types: list[Intent] = []


def _once(keywords: list[Keyword]) -> list[Keyword]:
    if len({each.keyword for each in keywords}) < len(keywords):
        raise ValueError("a keyword comes twice")
    return keywords


Feature = Annotated[str | None, Field(max_length=100)]


class Product(BaseModel):
    """What a session is opened with; `upload_path` is where the photograph is."""

    upload_path: Annotated[str, Field(min_length=1)]
    product_title: Annotated[str, Field(min_length=1, max_length=200)]
    feature_1: Feature = None
    feature_2: Feature = None
    feature_3: Feature = None
    target_audience: Annotated[str | None, Field(max_length=150)] = None
    keywords: Annotated[list[Keyword], AfterValidator(_once)] = []


class Image(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    image_type: ImageType
    storage_path: str | None
    status: ImageStatus
    error_message: str | None
    retry_count: int
    created_at: datetime
    completed_at: datetime | None


class Opened(Product):
    model_config = ConfigDict(from_attributes=True)

    id: str
    status: SessionStatus
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime
    images: list[Image]


class Link(BaseModel):
    """How the settings are: `hotconfig.status()`, less its error, which names hosts."""

    state: str
    version: int | None
    rejected: int | None
    staleness: float | None


class Health(BaseModel):
    status: Literal["ok", "degraded", "down"]
    database: Literal["ok", "down"]
    hotconfig: Link


# ---- endpoints: plain functions, which FastAPI runs in threads, since SQLite is waited for


@router.post("/sessions", status_code=201)
def open_session(db: Database, settings: Annotated[Settings, Depends(_settings)], product: Product) -> Opened:
    """With an image record for each type that is enabled now."""
    if not settings.enabled:
        raise HTTPException(409, "no image type is enabled: UPDATE image_settings SET enabled = true WHERE ...")
    session = GenerationSession(
        **product.model_dump(exclude={"keywords"}),
        keywords=[SessionKeyword(**each.model_dump()) for each in product.keywords],
        images=images.records(settings),
    )
    db.add(session)
    db.flush()
    db.refresh(session)
    return Opened.model_validate(session)


@router.get("/sessions/{session_id}")
def session(session: OneSession) -> Opened:
    return Opened.model_validate(session)


@router.delete("/sessions/{session_id}", status_code=204)
def delete_session(request: Request, db: Database, session: OneSession) -> None:
    images.refuse_busy(session)
    images.forget(db, session, request.app.state.images)


@router.post("/sessions/{session_id}/images")
def make_images(request: Request, db: Database, session: OneSession, draw: Annotated[Draw, Depends(_draw)]) -> Opened:
    """Make those that are not complete, and answer when that is done."""
    state = request.app.state
    images.make(state.store, session.id, Studio(draw, state.client.current, state.images))
    db.refresh(session)
    return Opened.model_validate(session)


@router.get("/health")
@router.get("/api/health")
def health(request: Request, response: Response, db: Database) -> Health:
    """200 also while PostgreSQL is away: the last settings serve on, and a restart would help nobody."""
    now = request.app.state.client.status()
    link = Link(state=now.state, version=now.document_version, rejected=now.rejected_version, staleness=now.staleness)
    try:
        db.execute(sa.select(GenerationSession.id).limit(1))
    except sa.exc.DatabaseError:
        response.status_code = 503
        return Health(status="down", database="down", hotconfig=link)
    return Health(status="ok" if now.healthy else "degraded", database="ok", hotconfig=link)


async def _busy(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"{error}: ask for the session later"}, 409)
