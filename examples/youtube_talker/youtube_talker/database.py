"""The engine, and a session for each request. HOTCONFIG_DATABASE_URL says where, as it does to hotconfig.

The tables are in the schema that the connection's search_path begins with: public, unless the URL says otherwise, as
`?options=-csearch_path%3Dtalker` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from hotconfig import conninfo
from psycopg.conninfo import make_conninfo
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

# Rows stay readable when they have been committed: to read one again would be a query that nobody awaits.
sessions = async_sessionmaker(expire_on_commit=False)


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncEngine]:
    """The engine, which the sessions use until it is left: enter it in a lifespan."""
    target = conninfo.resolve()

    async def connect() -> psycopg.AsyncConnection:
        # Asked at each connect: passwords rotate, an embedded server is started again.
        return await psycopg.AsyncConnection.connect(make_conninfo("", **target.connect_params()))

    engine = create_async_engine("postgresql+psycopg://", async_creator=connect, pool_size=20, max_overflow=10)
    sessions.configure(bind=engine)
    try:
        yield engine
    finally:
        await engine.dispose()


async def get_session() -> AsyncIterator[AsyncSession]:
    """A session for one request, as in FastAPI's `Depends(get_session)`.

    It commits in the end, or rolls back when the request raises, and is closed either way.
    """
    async with sessions.begin() as session:
        yield session


transaction = asynccontextmanager(get_session)
"""The same for `async with`."""
