"""An edit with plain SQL reaches the running application; what is wrong does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import hotconfig
import psycopg
import pytest
import sqlalchemy as sa
from conftest import PATIENCE
from hotconfig.testing import override
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from youtube_talker.hot import Talker, client, current
from youtube_talker.models import Chunk, Conversation, Template, Transcript, User
from youtube_talker.repositories import (
    ChunkRepository,
    ConfigRepository,
    MessageRepository,
    TemplateRepository,
    TranscriptRepository,
)
from youtube_talker.talker import add_transcript, answer

Edit = Callable[[str], None]


def test_an_update_of_config(talker: None, edit: Edit) -> None:
    """The promise: UPDATE config SET value = ... changes current().rag.top_k."""
    assert current().rag.top_k == 2
    edit("UPDATE config SET value = '7' WHERE key = 'rag.top_k'")
    client.wait_for(until=lambda cfg: cfg.rag.top_k == 7, timeout=PATIENCE)
    assert current().rag.top_k == 7


def test_an_update_of_a_template(talker: None, edit: Edit) -> None:
    """Likewise, and another one can become the default one in one transaction, along with a setting: one version."""
    edit("UPDATE templates SET template_content = 'New: {title}' WHERE template_type = 'blog'")
    client.wait_for(until=lambda cfg: cfg.templates["blog"].template_content == "New: {title}", timeout=PATIENCE)
    before = current()
    edit("""
        BEGIN;
        UPDATE templates SET is_default = false WHERE template_type = 'email';
        INSERT INTO templates (template_type, template_name, template_content, variables, is_default)
        VALUES ('email', 'Second', '{question}', '["question"]', true);
        UPDATE config SET value = '9' WHERE key = 'rag.top_k';
        COMMIT;
    """)
    after = client.wait_for(until=lambda cfg: cfg.rag.top_k == 9, timeout=PATIENCE)
    assert after.templates["email"].template_name == "Second"
    assert after.templates["email"].variables == ("question",)
    assert after.version == before.version + 1


def test_a_new_section_is_ignored(talker: None, edit: Edit) -> None:
    """Until a version of the application knows it; nor does a key of the table pose as a template, or as a section."""
    edit("""
        INSERT INTO config (key, value)
        VALUES ('llm.model', '"small"'), ('rag', '1'), ('templates.blog', '"x"'), ('version.x', '1'), ('', '1');
        UPDATE config SET value = '3' WHERE key = 'rag.top_k';
    """)
    client.wait_for(until=lambda cfg: cfg.rag.top_k == 3, timeout=PATIENCE)
    assert current().templates["blog"].template_name == "Article"


@pytest.mark.parametrize(
    ("wrong", "says", "right"),
    [
        ("UPDATE config SET value = '0' WHERE key = 'rag.top_k'", "rag.top_k", ""),
        ("UPDATE config SET value = '\"many\"' WHERE key = 'rag.top_k'", "rag.top_k", ""),
        ("DELETE FROM config WHERE key = 'rag.top_k'", "rag.top_k", "INSERT INTO config VALUES ('rag.top_k', '2');"),
        (
            "UPDATE templates SET is_default = false WHERE template_type = 'blog'",
            "no default for blog",
            "UPDATE templates SET is_default = true WHERE template_type = 'blog';",
        ),
        (
            "UPDATE templates SET variables = '[\"titel\"]' WHERE template_type = 'blog'",
            "templates.blog.variables.0",
            "UPDATE templates SET variables = '[]' WHERE template_type = 'blog';",
        ),
    ],
)
def test_what_is_wrong_is_not_served(talker: None, edit: Edit, wrong: str, says: str, right: str) -> None:
    """The last good snapshot stays, the status names the path, and the correction is served at once."""
    before = current()
    edit(wrong)
    with pytest.raises(hotconfig.InvalidConfig, match=says):
        client.wait_for(before.version + 1, timeout=PATIENCE)
    assert current() is before
    edit(f"{right} UPDATE config SET value = '4' WHERE key = 'rag.top_k'")
    client.wait_for(until=lambda cfg: cfg.rag.top_k == 4, timeout=PATIENCE)
    assert client.status().healthy


async def test_a_repository_that_writes(session: AsyncSession, talker: None) -> None:
    """Is an editor as any other; what it wrote is hot when it is committed, and not before."""
    await ConfigRepository(session).set_value("rag.top_k", 6)
    assert current().rag.top_k == 2
    await session.commit()
    await asyncio.to_thread(client.wait_for, until=lambda cfg: cfg.rag.top_k == 6, timeout=PATIENCE)


async def test_what_is_published(session: AsyncSession, user: User, url: str) -> None:
    """Settings and default templates, without what is beside them: nothing of a user's leaves its table."""
    await TemplateRepository(session).create_template(
        Template(user_id=user.id, template_type="blog", template_name="own", template_content="secret", is_default=True)
    )
    await session.commit()
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT document FROM config_documents WHERE name = 'talker'").fetchone()
    assert found is not None
    assert set(found[0]) == {"config", "templates"}
    assert found[0]["config"] == {"rag.top_k": 2, "rag.chunk_size": 20}
    assert set(found[0]["templates"]) == {"linkedin", "twitter", "blog", "email"}
    for template in found[0]["templates"].values():
        assert set(template) == {"template_name", "template_content", "variables"}
    assert found[0]["templates"]["blog"]["template_name"] == "Article"


async def test_an_answer(
    session: AsyncSession, engine: AsyncEngine, transcript: Transcript, conversation: Conversation, talker: None
) -> None:
    """Has as many chunks as current() says, in the order of the video, and no query reads the configuration."""
    await speak(session, transcript, ["salt and dough", "a brown crust", "nothing", "the crust turns brown"])
    asked: list[str] = []
    sa.event.listen(engine.sync_engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    made = await answer(session, conversation.id, "v", "What makes the crust brown?", "blog")
    assert made.content == (
        "# What makes the crust brown?\n\nIn “Bread” Baker says:\n\n- a brown crust\n- the crust turns brown"
    )
    assert made.meta["version"] == current().version
    assert made.meta["template"] == "Article"
    assert asked
    assert not [statement for statement in asked if "config" in statement or "templates" in statement]
    said = await MessageRepository(session).list_by_conversation(conversation.id)
    assert [(each.role, each.content) for each in said] == [
        ("user", "What makes the crust brown?"),
        ("assistant", made.content),
    ]


async def test_an_answer_is_of_one_version(
    session: AsyncSession, transcript: Transcript, conversation: Conversation, talker: None, edit: Edit
) -> None:
    """An edit that comes while it is made is for the next one."""
    await speak(session, transcript, ["one", "two", "three"])
    before = current().version
    making = asyncio.create_task(answer(session, conversation.id, "v", "?", "twitter"))
    await asyncio.sleep(0)  # it has begun, and waits for the database; this loop is held up until it is told
    edit("UPDATE config SET value = '3' WHERE key = 'rag.top_k'; UPDATE templates SET template_content = 'new'")
    client.wait_for(until=lambda cfg: cfg.rag.top_k == 3 and cfg.templates["blog"].template_content == "new")
    made = await making
    assert made.content == "- one\n- two (Bread)"
    assert made.meta["version"] == before
    made = await answer(session, conversation.id, "v", "?", "twitter")
    assert made.content == "new"
    assert made.meta["version"] == current().version > before


async def test_an_answer_about_no_video(session: AsyncSession, conversation: Conversation, talker: None) -> None:
    """Says so, and the conversation holds no question without an answer."""
    with pytest.raises(LookupError, match="no transcript of video 'never'"):
        await answer(session, conversation.id, "never", "?", "blog")
    assert not await MessageRepository(session).list_by_conversation(conversation.id)


async def test_a_transcript_is_cut_as_the_settings_say(session: AsyncSession, user: User) -> None:
    """And without a database to read them from: in tests the configuration is what they say."""
    with override(a_talker(), client=client), override({"rag.chunk_size": 5}, client=client):
        stored = await add_transcript(
            session,
            user.id,
            youtube_video_id="v",
            title="Bread",
            channel_name="Baker",
            duration=60,
            text="one two three four five\nsix seven",
        )
    chunks = await ChunkRepository(session).list_by_transcript(stored.id)
    assert [(chunk.chunk_text, chunk.token_count) for chunk in chunks] == [
        ("one two three four five", 5),
        ("six seven", 2),
    ]
    assert await TranscriptRepository(session).get_by_video_id("v") is stored


def a_talker() -> Talker:
    blank = {"template_name": "n", "template_content": "c", "variables": []}
    templates = dict.fromkeys(("linkedin", "twitter", "blog", "email"), blank)
    return Talker.model_validate({"config": {"rag.top_k": 1, "rag.chunk_size": 50}, "templates": templates})


async def speak(session: AsyncSession, transcript: Transcript, texts: list[str]) -> None:
    await ChunkRepository(session).create_many(
        Chunk(
            transcript_id=transcript.id,
            user_id=transcript.user_id,
            chunk_text=text,
            chunk_index=number,
            token_count=len(text.split()),
        )
        for number, text in enumerate(texts)
    )
