"""A stand-in for the model and for Genie, so that the agent runs without either. Not a model: it understands nothing.

It speaks the two protocols that the agent speaks, OpenAI's chat completions and Databricks' Genie, answers the same to
the same, and shows on each slide the settings that it was called with. Whatever it is asked it repeats unescaped, as a
model may. `GET /calls` tells what it was called with, for the tests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import socket
import sys
import threading
from collections import deque
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import APIRouter, Body, FastAPI, Request
from pydantic import BaseModel

LABEL = "STAND-IN, not a model"
GENIE_LABEL = "STAND-IN, not Genie"
_LETTERS = 4  # of a token
_SLIDE = '<div class="slide"'
_STYLE = """<style>
.slide { width: 1280px; height: 720px; padding: 60px; box-sizing: border-box; font: 28px sans-serif; }
.slide h1 { font-size: 54px; } .slide th { text-align: left; padding-right: 60px; }
.slide .label { background: #b00020; color: white; padding: 4px 16px; } .slide pre { white-space: pre-wrap; }
</style>"""


class Function(BaseModel):
    name: str
    arguments: str


class ToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: Function


class Message(BaseModel):
    role: str
    content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Chat(BaseModel):
    """What a chat completion is asked for with."""

    model: str
    temperature: float
    max_tokens: int
    messages: list[Message]
    tools: list[dict[str, Any]] = []


def digest(text: str) -> str:
    """Short enough for a slide, and another one for another text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


router = APIRouter()


@router.get("/calls")
def calls(request: Request) -> list[dict[str, Any]]:
    """The newest ones, the oldest of them first."""
    return list(request.app.state.calls)


@router.post("/v1/chat/completions")
def complete(request: Request, chat: Chat) -> dict[str, Any]:
    request.app.state.calls.append({"to": "model", **chat.model_dump()})
    reason, message = _answer(chat)
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}
    number = next(request.app.state.numbers)
    return {"id": str(number), "object": "chat.completion", "created": 0, "model": chat.model, "choices": [choice]}


def _answer(chat: Chat) -> tuple[str, dict[str, Any]]:
    """Why it ends, and what it is."""
    asked = max(place for place, message in enumerate(chat.messages) if message.role == "user")
    question = chat.messages[asked].content or ""
    wish, editing, _ = question.partition(_SLIDE)
    looked_up = [message.content or "" for message in chat.messages[asked:] if message.role == "tool"]
    if chat.tools and not looked_up and re.search(r"\b(data|figures?|how (much|many))\b", wish, re.IGNORECASE):
        function = Function(name=chat.tools[0]["function"]["name"], arguments=json.dumps({"query": wish}))
        return "tool_calls", {"content": None, "tool_calls": [ToolCall(id="call_1", function=function).model_dump()]}
    deck = _edited(chat, question, wish) if editing else _deck(chat, question, looked_up)
    most = chat.max_tokens * _LETTERS
    return "stop" if len(deck) <= most else "length", {"content": deck[:most]}


def _deck(chat: Chat, question: str, looked_up: list[str]) -> str:
    made = [_slide(f"<h1>{question}</h1>", chat)]
    made += [_slide(f"<h1>What was looked up</h1><pre>{found}</pre>", chat) for found in looked_up]
    return _STYLE + "".join(made)


def _edited(chat: Chat, question: str, wish: str) -> str:
    """As many slides as are in the question."""
    return "".join(_slide(f"<h1>edited: {wish}</h1>", chat) for _ in range(question.count(_SLIDE)))


def _slide(content: str, chat: Chat) -> str:
    rows = {
        "model": chat.model,
        "temperature": f"{chat.temperature:g}",
        "max tokens": chat.max_tokens,
        "system prompt": digest(chat.messages[0].content or ""),
        "earlier exchanges": sum(message.role == "user" for message in chat.messages) - 1,
    }
    shown = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    return f'{_SLIDE}><span class="label">{LABEL}</span>{content}<table>{shown}</table></div>'


# ---- Genie


@router.get("/.well-known/databricks-config")
def host_metadata() -> dict[str, str]:
    """Databricks' client asks for it first, and warns of a host that has none."""
    return {}


SPACE = "/api/2.0/genie/spaces/{space_id}"
MESSAGE = SPACE + "/conversations/{conversation_id}/messages/{message_id}"


@router.post(SPACE + "/start-conversation")
def start_conversation(request: Request, space_id: str, content: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
    conversation_id = f"conversation-{next(request.app.state.numbers)}"
    message = _message(request, space_id, conversation_id, content)
    return {"conversation_id": conversation_id, "message_id": message["message_id"], "message": message}


@router.post(SPACE + "/conversations/{conversation_id}/messages")
def create_message(
    request: Request, space_id: str, conversation_id: str, content: Annotated[str, Body(embed=True)]
) -> dict[str, Any]:
    return _message(request, space_id, conversation_id, content)


def _message(request: Request, space_id: str, conversation_id: str, content: str) -> dict[str, Any]:
    call = {"to": "Genie", "space_id": space_id, "conversation_id": conversation_id, "content": content}
    request.app.state.calls.append(call)
    return _shown(space_id, conversation_id, f"message-{next(request.app.state.numbers)}", "SUBMITTED")


@router.get(MESSAGE)
def get_message(space_id: str, conversation_id: str, message_id: str) -> dict[str, Any]:
    attachments = [
        {"attachment_id": "text", "text": {"content": f"{GENIE_LABEL}: space {space_id}, {conversation_id}"}},
        {"attachment_id": "query", "query": {"query": "SELECT product, sold FROM stand_in"}},
    ]
    return _shown(space_id, conversation_id, message_id, "COMPLETED") | {"attachments": attachments}


@router.get(MESSAGE + "/attachments/{attachment_id}/query-result")
def get_result() -> dict[str, Any]:
    columns = [{"name": "product"}, {"name": "sold"}]
    result = {"data_array": [["apples", "12"], ["pears", "7"]]}
    return {"statement_response": {"manifest": {"schema": {"columns": columns}}, "result": result}}


def _shown(space_id: str, conversation_id: str, message_id: str, status: str) -> dict[str, Any]:
    ids = {"space_id": space_id, "conversation_id": conversation_id, "message_id": message_id, "id": message_id}
    return {**ids, "content": "", "status": status}


# ---- as a program


def create() -> FastAPI:
    """The application, with nothing called yet."""
    app = FastAPI(title="Stand-in for a model and for Genie")
    app.state.calls = deque(maxlen=10_000)
    app.state.numbers = itertools.count(1)
    app.include_router(router)
    return app


def serve(descriptor: int) -> None:
    """Serve on the listening socket of that file descriptor, until the standard input ends, SIGTERM or SIGINT."""
    server = uvicorn.Server(uvicorn.Config(create(), log_level="warning"))

    def follow() -> None:
        # Not sys.stdin, whose lock a thread must not hold when the interpreter ends.
        while os.read(0, 1024):
            pass
        server.should_exit = True

    threading.Thread(target=follow, name="parent", daemon=True).start()
    with socket.socket(fileno=descriptor) as listening:
        server.run(sockets=[listening])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
