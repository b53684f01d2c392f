"""The tool that the model gets its figures with, and the conversation with Genie that a session keeps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import hotconfig
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.dashboards import GenieMessage
from openai.types.chat import ChatCompletionToolUnionParam

NAME = "query_genie_space"


def tool() -> ChatCompletionToolUnionParam:
    """What the model is told of the tool; the description is the space's own."""
    space = hotconfig.current().genie
    return {
        "type": "function",
        "function": {
            "name": NAME,
            "description": f"Ask the Genie space {space.space_name!r} for data. {space.description}".strip(),
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string", "description": "one question, in plain words"}},
                "required": ["query"],
            },
        },
    }


@dataclass(frozen=True)
class Conversation:
    """One that Genie remembers, so that a question may refer to the one before. It belongs to a space."""

    space_id: str
    id: str


async def query(
    arguments: str, workspace: WorkspaceClient, conversation: Conversation | None
) -> tuple[str, Conversation | None]:
    """What Genie answers to a call of the tool, for the model to read; and the conversation to go on with.

    Asks the space of `hotconfig.current()`, which in a turn is the turn's. An error is an answer too: the model can ask
    in another way, or say so on a slide.
    """
    space_id = hotconfig.current().genie.space_id
    if conversation is not None and conversation.space_id != space_id:
        conversation = None  # kept by a turn that began before the space changed
    try:
        content = str(json.loads(arguments)["query"])
    except (ValueError, KeyError, TypeError):
        return f'error: {NAME} takes {{"query": "..."}}', conversation
    try:
        # In a thread: Databricks' client blocks. The thread sees the pinned configuration too.
        message = await asyncio.to_thread(_ask, workspace, space_id, conversation, content)
        shown = await asyncio.to_thread(_shown, workspace, message)
    except (DatabricksError, TimeoutError) as error:
        return f"error: Genie did not answer: {error}", None
    return shown, Conversation(space_id, message.conversation_id)


def _ask(workspace: WorkspaceClient, space_id: str, conversation: Conversation | None, content: str) -> GenieMessage:
    if conversation is None:
        return workspace.genie.start_conversation_and_wait(space_id, content)
    return workspace.genie.create_message_and_wait(space_id, conversation.id, content)


def _shown(workspace: WorkspaceClient, message: GenieMessage) -> str:
    """Texts as they are, tables as JSON."""
    parts: list[str] = []
    for attachment in message.attachments or []:
        if attachment.text is not None:
            parts.append(attachment.text.content or "")
        if attachment.query is not None and attachment.attachment_id is not None:
            found = workspace.genie.get_message_attachment_query_result(
                message.space_id, message.conversation_id, message.message_id, attachment.attachment_id
            ).statement_response
            if found and found.manifest and found.manifest.schema and found.result:
                columns = [column.name for column in found.manifest.schema.columns or []]
                parts.append(json.dumps({"columns": columns, "rows": found.result.data_array or []}))
    return "\n".join(parts)
