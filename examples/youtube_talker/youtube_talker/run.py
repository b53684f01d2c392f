"""`run`: a PostgreSQL if none is given, the tables, what they begin with, and an answer that follows each edit."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal

from hotconfig import conninfo, embedded

from youtube_talker import database, migrations
from youtube_talker.hot import client
from youtube_talker.models import Conversation
from youtube_talker.repositories import ConversationRepository
from youtube_talker.seeds import VIDEO, seed_hot, seed_video
from youtube_talker.talker import answer

EDIT = "UPDATE config SET value = '1' WHERE key = 'rag.top_k'"
QUESTION = "What makes the crust brown?"


def run(url: str | None) -> None:
    """Show the answer to a question, and again whenever somebody edits what it depends on, until Ctrl-C."""
    # A service manager's way to say Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["HOTCONFIG_DATABASE_URL"] = url or f"embedded:{embedded.directory('youtube-talker')}"
    try:
        migrations.upgrade()
        asyncio.run(begin())
        with client:
            asyncio.run(follow())
    except KeyboardInterrupt:
        pass  # the way to end it


async def begin() -> None:
    async with database.opened(), database.transaction() as session:
        await seed_hot(session)


async def follow() -> None:
    cfg = client.current()
    async with database.opened():
        async with database.transaction() as session:
            visitor = await seed_video(session)
            conversation = await ConversationRepository(session).create(
                Conversation(user_id=visitor.id, title=QUESTION)
            )
        await show(conversation)
        print(f"Change it from another terminal, and read here what comes of it:\n    {psql()}", flush=True)
        async for change in client.changes(since=cfg):
            print(f"\nchanged: {', '.join(change.paths)}")
            await show(conversation)


async def show(conversation: Conversation) -> None:
    with client.pinned() as cfg:  # what is printed is what it was made with
        async with database.transaction() as session:
            made = await answer(session, conversation.id, VIDEO, QUESTION, "blog")
        print(
            f"---- version {cfg.version}, rag.top_k = {cfg.rag.top_k}, template {cfg.templates['blog'].template_name!r}"
        )
        print(f"{made.content}\n----", flush=True)


def psql() -> str:
    """What to type, without a password."""
    url = os.environ["HOTCONFIG_DATABASE_URL"]
    if not url.startswith("embedded:"):
        return f'psql "$HOTCONFIG_DATABASE_URL" -c "{EDIT}"'
    parts = conninfo.resolve().connect_params()
    there = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"
    return f'{shlex.join([str(embedded.bin_path() / "psql"), there])} -c "{EDIT}"'
