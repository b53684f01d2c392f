"""What the how-to guide of FastAPI says of its application, and of the ways to pin a request."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio.to_thread
import pages
import pytest
from dispatching import PATIENCE
from editing import Editor, eventually
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from servers import Server
from starlette.middleware.base import RequestResponseEndpoint
from starlette.types import ASGIApp, Receive, Scope, Send

import hotconfig
from hotconfig.testing import override

PAGE = Path(__file__).parent.parent / "docs/howto/fastapi.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's app.py."""
    pages.save(PAGE, "app.py", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("app")
    del sys.modules["app"]
    hotconfig.close()


def answer(client: TestClient) -> dict[str, Any]:
    response = client.get("/answer?question=Why")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


# ---- the application


def test_one_request_sees_one_version(
    module: ModuleType, database: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit between the two prompts of a request, which this process has, shows in the next request."""

    class Edited:
        """A client of an LLM that is so slow that somebody edits meanwhile."""

        async def ask(self, _prompt: str, temperature: float) -> str:
            version = editor.temperature(0.1 if temperature == 0.2 else 0.2)
            await asyncio.to_thread(hotconfig.wait_for, version)
            return str(temperature)

    monkeypatch.setattr(module, "llm", lambda _: Edited())
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", database)
    with TestClient(module.app) as client:
        assert answer(client) == {"version": 1, "draft": "0.7", "final": "0.7"}
        assert answer(client) == {"version": 2, "draft": "0.2", "final": "0.2"}
        assert answer(client) == {"version": 3, "draft": "0.1", "final": "0.1"}


def test_a_worker_without_settings_does_not_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of start()."""
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(hotconfig.Unavailable), TestClient(module.app):
        pass


def test_it_serves_while_the_server_is_away(
    module: ModuleType, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are those of the last snapshot; /health says 200, and what is wrong."""
    own_server.create_database("here")
    monkeypatch.setenv("HOTCONFIG_DATABASE_URL", own_server.url("here"))
    with TestClient(module.app) as client:
        before = answer(client)
        assert client.get("/health").json()["error"] is None

        own_server.stop()

        eventually(lambda: client.get("/health").json()["state"] == "stale")
        health = client.get("/health")
        assert health.status_code == 200
        assert health.json()["staleness"] >= 0
        assert "Next: " in health.json()["error"]
        assert answer(client) == before


# ---- the ways to pin


async def asynchronous() -> AsyncIterator[None]:
    with hotconfig.pinned():
        yield


def plain() -> Iterator[None]:
    with hotconfig.pinned():
        yield


class Pinning:
    """The middleware that the page describes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            with hotconfig.pinned():
                await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def pinning(request: Request, call_next: RequestResponseEndpoint) -> Response:
    with hotconfig.pinned():
        return await call_next(request)


def pinned() -> bool:
    """Whether current() does not follow a change here."""
    before = hotconfig.current()
    with override({"ai_infra.llm_max_tokens": before.ai_infra.llm_max_tokens + 1}):
        return hotconfig.current() is before


@pytest.mark.parametrize(
    ("how", "endpoint", "stream"),
    [("asynchronous", True, True), ("plain", False, False), ("ASGI", True, True), ("decorator", True, False)],
)
def test_where_a_request_is_pinned(how: str, endpoint: bool, stream: bool) -> None:
    """In the endpoint, plain or not; while the response streams."""
    app = FastAPI(dependencies=[Depends(globals()[how])] if how in globals() else [])
    if how == "ASGI":
        app.add_middleware(Pinning)
    if how == "decorator":
        app.middleware("http")(pinning)

    @app.get("/plain")
    def in_a_thread() -> bool:
        return pinned()

    @app.get("/asynchronous")
    async def in_the_loop() -> bool:
        return pinned() and await asyncio.to_thread(pinned) and await asyncio.create_task(below())

    async def below() -> bool:
        return pinned()

    @app.get("/stream")
    async def streamed() -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield " "  # somebody takes it, so the response has begun
            yield "true" if pinned() else "false"

        return StreamingResponse(body())

    with override({}), TestClient(app) as client:
        found = {path: client.get(path).json() for path in ("/plain", "/asynchronous", "/stream")}

    assert found == {"/plain": endpoint, "/asynchronous": endpoint, "/stream": stream}


@pytest.mark.parametrize("path", ["/plain", "/asynchronous"])
def test_in_the_body_of_an_endpoint(path: str) -> None:
    """Of either kind."""
    app = FastAPI()

    @app.get("/plain")
    def in_a_thread() -> bool:
        with hotconfig.pinned():
            return pinned()

    @app.get("/asynchronous")
    async def in_the_loop() -> bool:
        with hotconfig.pinned():
            return pinned()

    with override({}), TestClient(app) as client:
        assert client.get(path).json() is True


def test_a_plain_dependency_waits_for_a_thread() -> None:
    """While endpoints keep the thread pool, Depends(hotconfig.current) waits, and an asynchronous one does not."""
    app = FastAPI()
    go_on = threading.Event()

    async def current() -> hotconfig.ProfileConfig:
        return hotconfig.current()

    @app.get("/busy")
    def busy() -> None:
        assert go_on.wait(PATIENCE)

    @app.get("/plain", dependencies=[Depends(hotconfig.current)])
    async def with_plain() -> None: ...

    @app.get("/asynchronous", dependencies=[Depends(current)])
    async def with_asynchronous() -> None: ...

    async def main() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1
        first = asyncio.create_task(get(app, "/busy"))
        await asyncio.to_thread(eventually, lambda: limiter.borrowed_tokens == 1)
        second = asyncio.create_task(get(app, "/plain"))
        await asyncio.to_thread(eventually, lambda: limiter.statistics().tasks_waiting == 1)
        await get(app, "/asynchronous")
        assert limiter.statistics().tasks_waiting == 1
        go_on.set()
        await asyncio.gather(first, second)

    with override({}):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def get(app: FastAPI, path: str) -> None:
    """A request without a client, whose threads would be in the way."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200
