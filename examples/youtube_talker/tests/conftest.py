"""A real PostgreSQL, and of it a database for each test: migrated, with what it begins with."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hotconfig import embedded
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from youtube_talker import database, hot, migrations, run
from youtube_talker.models import Chunk, Conversation, Transcript, User
from youtube_talker.repositories import (
    ChunkRepository,
    ConversationRepository,
    TranscriptRepository,
    UserRepository,
)

PATIENCE = 100.0  # seconds
VARIABLE = "HOTCONFIG_DATABASE_URL"


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and children inherit that: here Ctrl-C is tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_environment() -> None:
    """Nothing of the developer's environment says where the database is."""
    for variable in list(os.environ):
        if variable.startswith(("HOTCONFIG_", "DATABASE_URL", "PG")):
            del os.environ[variable]


@pytest.fixture(scope="session")
def hotconfig_prepare(_no_environment: None) -> Callable[[str], object]:
    """What `hotconfig_database` begins with."""

    def prepare(url: str) -> None:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(VARIABLE, url)
            migrations.upgrade()
            asyncio.run(run.begin())

    return prepare


@pytest.fixture
def url(hotconfig_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the test's database, which the application uses."""
    monkeypatch.setenv(VARIABLE, hotconfig_database)
    return hotconfig_database


@pytest.fixture
def talker(url: str) -> Iterator[None]:
    """The application's client is started."""
    with hot.client:
        yield


@pytest.fixture
def edit(url: str) -> Callable[[str], None]:
    """Run SQL as somebody else does, with psql."""
    psql = [str(embedded.bin_path() / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", url]

    def edit(statements: str) -> None:
        done = subprocess.run(psql, input=statements, check=False, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")

    return edit


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Sessions can be opened."""
    async with database.opened() as engine:
        yield engine


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with database.transaction() as session:
        yield session


@pytest.fixture
async def user(session: AsyncSession) -> User:
    return await UserRepository(session).create(User(email="ann@example.com", password_hash="#"))


@pytest.fixture
async def conversation(session: AsyncSession, user: User) -> Conversation:
    return await ConversationRepository(session).create(Conversation(user_id=user.id))


@pytest.fixture
async def transcript(session: AsyncSession, user: User) -> Transcript:
    return await TranscriptRepository(session).create(a_transcript(user))


@pytest.fixture
async def chunks(session: AsyncSession, transcript: Transcript) -> list[Chunk]:
    """Three of them, stored in another order."""
    return list(await ChunkRepository(session).create_many(a_chunk(transcript, number) for number in (2, 0, 1)))


def a_transcript(user: User, video: str = "v") -> Transcript:
    return Transcript(
        user_id=user.id,
        youtube_video_id=video,
        title="Bread",
        channel_name="Baker",
        duration=60,
        transcript_text="Flour and water.",
    )


def a_chunk(transcript: Transcript, number: int) -> Chunk:
    return Chunk(
        transcript_id=transcript.id,
        user_id=transcript.user_id,
        chunk_text=f"piece {number}",
        chunk_index=number,
        token_count=2,
    )


@asynccontextmanager
async def refused(session: AsyncSession, constraint: str) -> AsyncIterator[None]:
    """What is written within violates it; the session goes on."""
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        async with session.begin_nested():
            yield
