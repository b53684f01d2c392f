"""The engine and the session of a request."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from youtube_talker.database import get_session, transaction
from youtube_talker.models import User
from youtube_talker.repositories import UserRepository


async def test_a_request(engine: AsyncEngine) -> None:
    """Is committed, its connection goes back to the pool, and its rows stay readable."""
    user = User(email="ann@example.com", password_hash="#")
    async for session in get_session():
        await UserRepository(session).create(user)
        assert in_use(engine) == 1
    assert in_use(engine) == 0
    assert user.email == "ann@example.com"
    async with transaction() as session:
        assert await UserRepository(session).get_by_id(user.id) is not None


async def test_a_request_that_fails(engine: AsyncEngine) -> None:
    """Is rolled back, and its connection goes back too."""

    async def fails() -> None:
        async with transaction() as session:
            await UserRepository(session).create(User(email="ann@example.com", password_hash="#"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert in_use(engine) == 0
    async with transaction() as session:
        assert await UserRepository(session).get_by_email("ann@example.com") is None


async def test_the_pool(engine: AsyncEngine) -> None:
    """Has 20 connections, and 10 more when they are needed."""
    async with AsyncExitStack() as connections:
        for _ in range(30):
            await connections.enter_async_context(engine.connect())
        assert pool(engine).overflow() == 10
    assert pool(engine).checkedin() == 20
    assert pool(engine)._max_overflow == 10


def pool(engine: AsyncEngine) -> QueuePool:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool


def in_use(engine: AsyncEngine) -> int:
    return pool(engine).checkedout()
