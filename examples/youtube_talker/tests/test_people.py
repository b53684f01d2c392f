"""The repositories of users, their sessions, conversations and messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from conftest import refused
from sqlalchemy.ext.asyncio import AsyncSession

from youtube_talker.models import Conversation, Message, Role, User, UserSession
from youtube_talker.repositories import (
    ConversationRepository,
    MessageRepository,
    SessionRepository,
    UserRepository,
)


async def test_a_user(session: AsyncSession, user: User) -> None:
    """Is found by id and address, with what the database has set."""
    users = UserRepository(session)
    session.expunge_all()
    found = await users.get_by_id(user.id)
    assert found is not user
    assert found is not None
    assert (found.email, found.password_hash) == ("ann@example.com", "#")
    assert found.created_at.tzinfo is not None
    assert await users.get_by_email("ann@example.com") is found


async def test_no_such_user(session: AsyncSession) -> None:
    """Is None."""
    users = UserRepository(session)
    assert await users.get_by_id(uuid4()) is None
    assert await users.get_by_email("nobody@example.com") is None
    assert not await users.delete(uuid4())


async def test_an_address_twice(session: AsyncSession, user: User) -> None:
    """Is refused where it is written."""
    async with refused(session, "uq_users_email"):
        await UserRepository(session).create(User(email=user.email, password_hash="#"))


@pytest.mark.parametrize("email", ["", "ann", "ann@", "@example.com", "ann@example", "a b@example.com", "a@b@c.de"])
async def test_no_address(session: AsyncSession, email: str) -> None:
    """Is refused, too."""
    async with refused(session, "ck_users_email"):
        await UserRepository(session).create(User(email=email, password_hash="#"))


async def test_secrets_are_not_printed(user: User) -> None:
    """A row that lands in a log has no hash in it."""
    user.password_hash = "secret"
    login = UserSession(user_id=user.id, token_hash="secret", expires_at=datetime.now(UTC))
    assert "secret" not in repr(user) + repr(login)


async def test_a_session(session: AsyncSession, user: User) -> None:
    """Is found by its token until it has expired or was deleted."""
    logins = SessionRepository(session)
    live = await logins.create(login(user, "live", timedelta(minutes=1)))
    await logins.create(login(user, "old", -timedelta(minutes=1)))
    assert await logins.get_by_token("live") is live
    assert await logins.get_by_token("old") is None
    assert await logins.get_by_token("never") is None
    assert await logins.delete(live.id)
    assert await logins.get_by_token("live") is None
    assert not await logins.delete(live.id)


async def test_expired_sessions(session: AsyncSession, user: User) -> None:
    """Are deleted and counted; the others stay."""
    logins = SessionRepository(session)
    for number in range(3):
        await logins.create(login(user, f"old {number}", -timedelta(seconds=number)))
    live = await logins.create(login(user, "live", timedelta(minutes=1)))
    assert await logins.delete_expired() == 3
    assert await logins.delete_expired() == 0
    assert await logins.get_by_token("live") is live


async def test_a_token_twice(session: AsyncSession, user: User) -> None:
    """Is refused."""
    logins = SessionRepository(session)
    await logins.create(login(user, "one", timedelta(minutes=1)))
    async with refused(session, "uq_sessions_token_hash"):
        await logins.create(login(user, "one", timedelta(minutes=2)))


async def test_conversations(session: AsyncSession, user: User) -> None:
    """Come in pages, the one with the newest message first; another user's do not."""
    conversations = ConversationRepository(session)
    other = await UserRepository(session).create(User(email="bob@example.com", password_hash="#"))
    await conversations.create(Conversation(user_id=other.id))
    first, second, third = [
        await conversations.create(Conversation(user_id=user.id, title=title)) for title in ("1", None, "3")
    ]
    assert list(await conversations.list_by_user(user.id)) == [third, second, first]
    await say(session, first)
    assert list(await conversations.list_by_user(user.id)) == [first, third, second]
    assert list(await conversations.list_by_user(user.id, limit=1, offset=1)) == [third]
    assert list(await conversations.list_by_user(user.id, limit=9, offset=3)) == []


async def test_a_deleted_conversation(session: AsyncSession, conversation: Conversation) -> None:
    """Takes its messages with it."""
    conversations, messages = ConversationRepository(session), MessageRepository(session)
    await say(session, conversation)
    assert await conversations.delete(conversation.id)
    assert await conversations.get_by_id(conversation.id) is None
    assert list(await messages.list_by_conversation(conversation.id)) == []
    assert not await conversations.delete(conversation.id)


async def test_messages(session: AsyncSession, conversation: Conversation) -> None:
    """Come in the order in which they were written, in one transaction too."""
    messages = MessageRepository(session)
    said = [await say(session, conversation) for _ in range(5)]
    assert list(await messages.list_by_conversation(conversation.id)) == said
    assert list(await messages.list_by_conversation(conversation.id, limit=2, offset=1)) == said[1:3]
    assert list(await messages.get_last_n(conversation.id, 2)) == said[3:]
    assert list(await messages.get_last_n(conversation.id, 9)) == said
    assert list(await messages.get_last_n(uuid4(), 2)) == []


async def test_a_message_s_metadata(session: AsyncSession, conversation: Conversation) -> None:
    """Are what they were, whatever JSON they are; without any they are empty."""
    kept: dict[str, object] = {"chunks": [1, 2.5, None, True], "of": {"ключ": "„text“ 🍞"}, "": []}
    said = await say(session, conversation, kept)
    silent = await say(session, conversation)
    session.expunge_all()
    found = await MessageRepository(session).list_by_conversation(conversation.id)
    assert [message.meta for message in found] == [kept, {}]
    assert [message.id for message in found] == [said.id, silent.id]


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
async def test_roles(session: AsyncSession, conversation: Conversation, role: Role) -> None:
    """There are three."""
    await MessageRepository(session).create(Message(conversation_id=conversation.id, role=role, content="?"))


async def test_another_role(session: AsyncSession, conversation: Conversation) -> None:
    """Is refused."""
    wrong = Message(conversation_id=conversation.id, role="tool", content="?")  # type: ignore[arg-type]
    async with refused(session, "ck_messages_role"):
        await MessageRepository(session).create(wrong)


async def test_a_message_touches_its_conversation(session: AsyncSession, user: User) -> None:
    """A trigger sets updated_at of this one, and of no other."""
    conversations = ConversationRepository(session)
    one, other = [await conversations.create(Conversation(user_id=user.id)) for _ in range(2)]
    before = one.updated_at, other.updated_at
    said = await say(session, one)
    await session.refresh(one)
    await session.refresh(other)
    assert one.updated_at > said.created_at > before[0]
    assert other.updated_at == before[1]
    before = one.updated_at, other.updated_at
    said.content = "edited"
    await session.flush()
    await session.refresh(one)
    assert one.updated_at > before[0]


async def test_what_a_user_has_goes_with_the_user(session: AsyncSession, conversation: Conversation) -> None:
    """Sessions, conversations and their messages; another user's stay. (The rest is in test_videos.py.)"""
    users, logins = UserRepository(session), SessionRepository(session)
    user = await users.get_by_id(conversation.user_id)
    assert user is not None
    other = await users.create(User(email="bob@example.com", password_hash="#"))
    await logins.create(login(user, "ann", timedelta(minutes=1)))
    kept = await logins.create(login(other, "bob", timedelta(minutes=1)))
    await say(session, conversation)
    await users.delete(user.id)
    session.expunge_all()
    assert await users.get_by_email("ann@example.com") is None
    assert await logins.get_by_token("ann") is None
    assert await ConversationRepository(session).get_by_id(conversation.id) is None
    assert list(await MessageRepository(session).list_by_conversation(conversation.id)) == []
    assert await logins.get_by_id(kept.id) is not None


def login(user: User, token_hash: str, lasts: timedelta) -> UserSession:
    return UserSession(user_id=user.id, token_hash=token_hash, expires_at=datetime.now(UTC) + lasts)


async def say(session: AsyncSession, conversation: Conversation, meta: dict[str, object] | None = None) -> Message:
    message = Message(conversation_id=conversation.id, role="user", content="?", meta=meta or {})
    return await MessageRepository(session).create(message)
