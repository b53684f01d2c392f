"""What a database begins with: settings, a default template of each type, and a video to try them on.

Seeding again changes nothing that is there, whoever edited it.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from youtube_talker.hot import TemplateType, Variable
from youtube_talker.models import ConfigEntry, Template, User
from youtube_talker.repositories import TranscriptRepository, UserRepository
from youtube_talker.talker import add_transcript

EMAIL = "visitor@example.com"
VIDEO = "bread-basics"

CONFIG: dict[str, tuple[object, str]] = {
    "rag.top_k": (2, "how many chunks of a transcript go into an answer"),
    "rag.chunk_size": (20, "how many words a chunk has at most; for transcripts to come"),
}
TEMPLATES: dict[TemplateType, tuple[str, str, list[Variable]]] = {
    "linkedin": (
        "Takeaways",
        "{question}\n\nMy takeaways from {channel}:\n{excerpts}\n\nWhat are yours?",
        ["question", "channel", "excerpts"],
    ),
    "twitter": ("Short", "{excerpts} ({title})", ["excerpts", "title"]),
    "blog": (
        "Article",
        "# {question}\n\nIn “{title}” {channel} says:\n\n{excerpts}",
        ["question", "title", "channel", "excerpts"],
    ),
    "email": ("Reply", "Hello,\n\nyou asked: {question}\n\n{excerpts}\n\nBest wishes", ["question", "excerpts"]),
}
TRANSCRIPT = """
Welcome back. Today we bake bread with four things: flour, water, salt and time. Most people knead too long and wait
too little. Let the dough rest for half an hour before you knead it, and it will do half of the work for you. Salt
goes in after that rest, because salt tightens the dough. The first rise takes four hours in a warm kitchen, and a
whole night in the fridge, which gives more taste. A good crust needs steam: put a bowl of boiling water into the oven
for the first fifteen minutes, then take it out. The crust turns brown without steam, so be brave and wait for a dark
brown. Let the bread cool for an hour before you cut it. Inside it is still baking, and a hot loaf tastes of glue.
"""


async def seed_hot(session: AsyncSession) -> None:
    """The settings and the default templates, without which `hot.client` does not start."""
    config = [{"key": key, "value": value, "description": text} for key, (value, text) in CONFIG.items()]
    templates = [
        {
            "template_type": kind,
            "template_name": name,
            "template_content": content,
            "variables": variables,
            "is_default": True,
        }
        for kind, (name, content, variables) in TEMPLATES.items()
    ]
    await session.execute(insert(ConfigEntry).values(config).on_conflict_do_nothing())
    await session.execute(insert(Template).values(templates).on_conflict_do_nothing())


async def seed_video(session: AsyncSession) -> User:
    """A visitor, who cannot log in, and a video; cut as the settings say, so the client has to be started."""
    users = UserRepository(session)
    visitor = await users.get_by_email(EMAIL) or await users.create(User(email=EMAIL, password_hash="!"))
    if await TranscriptRepository(session).get_by_video_id(VIDEO) is None:
        await add_transcript(
            session,
            visitor.id,
            youtube_video_id=VIDEO,
            title="Bread in four steps",
            channel_name="The Patient Baker",
            duration=312,
            text=TRANSCRIPT,
        )
    return visitor
