"""The repositories of transcripts, their chunks, templates and settings."""

from __future__ import annotations

from uuid import uuid4

import pytest
from conftest import a_chunk, a_transcript, refused
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from youtube_talker.hot import TemplateType
from youtube_talker.models import Chunk, ConfigEntry, Template, Transcript, User
from youtube_talker.repositories import (
    ChunkRepository,
    ConfigRepository,
    TemplateRepository,
    TranscriptRepository,
    UserRepository,
)


async def test_a_transcript(session: AsyncSession, user: User) -> None:
    """Is found by its id and its video, with its metadata."""
    transcripts = TranscriptRepository(session)
    stored = a_transcript(user)
    stored.meta = {"tags": ["bread", {"kind": "rye"}], "views": 7}
    await transcripts.create(stored)
    session.expunge_all()
    found = await transcripts.get_by_id(stored.id)
    assert found is not None
    assert (found.title, found.channel_name, found.duration) == ("Bread", "Baker", 60)
    assert found.meta == {"tags": ["bread", {"kind": "rye"}], "views": 7}
    assert await transcripts.get_by_video_id("v") is found


async def test_no_such_transcript(session: AsyncSession) -> None:
    """Is None."""
    assert await TranscriptRepository(session).get_by_id(uuid4()) is None
    assert await TranscriptRepository(session).get_by_video_id("never") is None


async def test_a_video_twice(session: AsyncSession, transcript: Transcript, user: User) -> None:
    """Is refused."""
    async with refused(session, "uq_transcripts_youtube_video_id"):
        await TranscriptRepository(session).create(a_transcript(user))


async def test_transcripts(session: AsyncSession, user: User) -> None:
    """Come in pages, the newest first; another user's do not."""
    transcripts = TranscriptRepository(session)
    other = await UserRepository(session).create(User(email="bob@example.com", password_hash="#"))
    await transcripts.create(a_transcript(other, "of bob"))
    first, second, third = [await transcripts.create(a_transcript(user, video)) for video in "abc"]
    assert list(await transcripts.list_by_user(user.id)) == [third, second, first]
    assert list(await transcripts.list_by_user(user.id, limit=1, offset=1)) == [second]
    assert list(await transcripts.list_by_user(user.id, limit=5, offset=2)) == [first]


async def test_chunks(session: AsyncSession, transcript: Transcript, chunks: list[Chunk]) -> None:
    """Come in the transcript's order, or in the order that is asked for."""
    two, zero, one = chunks
    repository = ChunkRepository(session)
    assert list(await repository.list_by_transcript(transcript.id)) == [zero, one, two]
    assert list(await repository.list_by_transcript(uuid4())) == []
    assert list(await repository.get_by_ids([one.id, uuid4(), two.id, zero.id])) == [one, two, zero]
    assert list(await repository.get_by_ids([])) == []


async def test_a_chunk_s_metadata(session: AsyncSession, transcript: Transcript) -> None:
    """Are what they were."""
    chunk = a_chunk(transcript, 0)
    chunk.meta = {"embedding": [0.5, -1e-9], "model": None}
    await ChunkRepository(session).create_many([chunk])
    session.expunge_all()
    (found,) = await ChunkRepository(session).get_by_ids([chunk.id])
    assert found.meta == {"embedding": [0.5, -1e-9], "model": None}


async def test_deleted_chunks(session: AsyncSession, transcript: Transcript, chunks: list[Chunk]) -> None:
    """Are counted; another transcript's stay."""
    repository = ChunkRepository(session)
    user = await UserRepository(session).get_by_email("ann@example.com")
    assert user is not None
    other = await TranscriptRepository(session).create(a_transcript(user, "another"))
    (kept,) = await repository.create_many([a_chunk(other, 0)])
    assert await repository.delete_by_transcript(transcript.id) == 3
    assert await repository.delete_by_transcript(transcript.id) == 0
    assert list(await repository.get_by_ids([kept.id, chunks[0].id])) == [kept]


async def test_a_chunk_twice(session: AsyncSession, transcript: Transcript, chunks: list[Chunk]) -> None:
    """Is refused, and none of those that were stored along with it is there."""
    repository = ChunkRepository(session)
    async with refused(session, "uq_chunks_transcript_id_chunk_index"):
        await repository.create_many([a_chunk(transcript, 3), a_chunk(transcript, 1)])
    assert len(await repository.list_by_transcript(transcript.id)) == 3


async def test_a_deleted_transcript(session: AsyncSession, transcript: Transcript, chunks: list[Chunk]) -> None:
    """Takes its chunks with it."""
    assert await TranscriptRepository(session).delete(transcript.id)
    session.expunge_all()
    assert list(await ChunkRepository(session).get_by_ids([chunk.id for chunk in chunks])) == []


async def test_what_a_user_has_goes_with_the_user(
    session: AsyncSession, user: User, transcript: Transcript, chunks: list[Chunk]
) -> None:
    """Transcripts, chunks and templates; the default templates are nobody's. (The rest is in test_people.py.)"""
    templates = TemplateRepository(session)
    own = await templates.create_template(a_template(user, "mine"))
    await UserRepository(session).delete(user.id)
    session.expunge_all()
    assert await TranscriptRepository(session).get_by_id(transcript.id) is None
    assert list(await ChunkRepository(session).get_by_ids([chunk.id for chunk in chunks])) == []
    assert await templates.get_by_id(own.id) is None
    assert await templates.get_template("blog") is not None


async def test_a_template_of_ones_own(session: AsyncSession, user: User) -> None:
    """Comes before the default one, for this user; of several the one that is his default, else the newest."""
    templates = TemplateRepository(session)
    default = await templates.get_template("blog")
    assert default is not None
    assert default.user_id is None
    assert await templates.get_template("blog", user.id) is default
    first = await templates.create_template(a_template(user, "first"))
    assert await templates.get_template("blog", user.id) is first
    second = await templates.create_template(a_template(user, "second"))
    assert await templates.get_template("blog", user.id) is second
    first.is_default = True
    await session.flush()
    second.template_content = default.template_content = "changed later"
    await session.flush()
    assert await templates.get_template("blog", user.id) is first
    assert await templates.get_template("blog", uuid4()) is default
    assert await templates.get_template("blog") is default


async def test_no_default_template(session: AsyncSession, user: User) -> None:
    """None: one for everybody that is not the default does not take its place, nor does another type's."""
    templates = TemplateRepository(session)
    default = await templates.get_template("blog")
    assert default is not None
    await templates.delete(default.id)
    await templates.create_template(a_template(None, "for everybody"))
    assert await templates.get_template("blog") is None
    assert await templates.get_template("blog", user.id) is None
    assert await templates.get_template("email", user.id) is not None


async def test_templates_that_are_refused(session: AsyncSession, user: User) -> None:
    """A name twice for one user and type, a second default of a type, a type that there is not."""
    templates = TemplateRepository(session)
    await templates.create_template(a_template(user, "mine"))
    await templates.create_template(a_template(user, "mine", "email"))
    async with refused(session, "uq_templates_user_id_template_type_template_name"):
        await templates.create_template(a_template(user, "mine"))
    second = a_template(None, "second")
    second.is_default = True
    async with refused(session, "uq_templates_default_template_type"):
        await templates.create_template(second)
    async with refused(session, "ck_templates_template_type"):
        await templates.create_template(a_template(user, "x", "fax"))  # type: ignore[arg-type]


async def test_a_template_s_defaults(session: AsyncSession) -> None:
    """Those of the database, for a row that is written with plain SQL, are those of the model."""
    columns = "(template_type, template_name, template_content)"
    found = await session.execute(
        text(f"INSERT INTO templates {columns} VALUES ('blog', 'n', 'c') RETURNING variables, is_default, user_id")
    )
    assert found.one() == ([], False, None)


@pytest.mark.parametrize("value", [7, "text", [1, {"a": None}], {"nested": {"ключ": [True]}}, None, False, 0.1])
async def test_settings(session: AsyncSession, value: object) -> None:
    """Are any JSON."""
    settings = ConfigRepository(session)
    assert await settings.get_value("new.setting") is None
    await settings.set_value("new.setting", value)
    assert await settings.get_value("new.setting") == value
    await settings.set_value("new.setting", "another")
    assert await settings.get_value("new.setting") == "another"


async def test_a_setting_s_description(session: AsyncSession) -> None:
    """Stays when only the value is set; when it was updated is the database's to say, to the model too."""
    settings = ConfigRepository(session)
    await settings.set_value("new.setting", 1, "what it is for")
    row = await settings.get_by_id("new.setting")
    assert row is not None
    before = row.updated_at
    await settings.set_value("new.setting", 2)
    await session.refresh(row)
    assert (row.value, row.description) == (2, "what it is for")
    assert row.updated_at > before
    before = row.updated_at
    row.description = "what it is really for"
    await session.flush()
    assert row.updated_at > before
    await settings.set_value("new.setting", 3, "")
    await session.refresh(row)
    assert row.description == ""


async def test_a_setting_that_plain_sql_changes(session: AsyncSession) -> None:
    """Has a new updated_at, and stays the same row."""
    row = await ConfigRepository(session).get_by_id("rag.top_k")
    assert isinstance(row, ConfigEntry)
    before = row.updated_at
    await session.execute(text("UPDATE config SET value = '9' WHERE key = 'rag.top_k'"))
    await session.refresh(row)
    assert row.value == 9
    assert row.updated_at > before


def a_template(user: User | None, name: str, template_type: TemplateType = "blog") -> Template:
    return Template(
        user_id=None if user is None else user.id,
        template_type=template_type,
        template_name=name,
        template_content="{title}",
        variables=["title"],
    )
