"""What the application does: it takes transcripts in, and answers questions about them in the form of a template.

Which chunks fit a question is decided by the words that they share: a stand-in for a search by meaning, which needs a
model. How many there are, and what they are put into, is read from `current()`.
"""

from __future__ import annotations

import re
from uuid import UUID

import hotconfig
from sqlalchemy.ext.asyncio import AsyncSession

from youtube_talker.hot import TemplateType, Variable, client, current
from youtube_talker.models import Chunk, Message, Transcript
from youtube_talker.repositories import ChunkRepository, MessageRepository, TranscriptRepository


async def add_transcript(
    session: AsyncSession,
    user_id: UUID,
    *,
    youtube_video_id: str,
    title: str,
    channel_name: str,
    duration: int,
    text: str,
) -> Transcript:
    """Store it with its chunks, each of at most `rag.chunk_size` words; `duration` is in seconds."""
    transcript = await TranscriptRepository(session).create(
        Transcript(
            user_id=user_id,
            youtube_video_id=youtube_video_id,
            title=title,
            channel_name=channel_name,
            duration=duration,
            transcript_text=text,
        )
    )
    words, size = text.split(), current().rag.chunk_size
    pieces = [words[start : start + size] for start in range(0, len(words), size)]
    await ChunkRepository(session).create_many(
        Chunk(
            transcript_id=transcript.id,
            user_id=user_id,
            chunk_text=" ".join(piece),
            chunk_index=number,
            token_count=len(piece),
        )
        for number, piece in enumerate(pieces)
    )
    return transcript


async def answer(
    session: AsyncSession, conversation_id: UUID, youtube_video_id: str, question: str, template_type: TemplateType
) -> Message:
    """Answer from the transcript of a video; the conversation then holds the question and the answer.

    Its metadata say which version of the configuration it was made with, and from which chunks.

    Raises:
        LookupError: there is no transcript of this video.
    """
    with client.pinned() as cfg:  # one answer, one version
        transcript = await TranscriptRepository(session).get_by_video_id(youtube_video_id)
        if transcript is None:
            raise LookupError(f"there is no transcript of video {youtube_video_id!r}: add it first")
        chunks = await relevant(session, transcript.id, question)
        template = cfg.templates[template_type]
        values: dict[Variable, str] = {
            "title": transcript.title,
            "channel": transcript.channel_name,
            "question": question,
            "excerpts": "\n".join(f"- {chunk.chunk_text}" for chunk in chunks),
        }
        named: dict[str, str] = {name: values[name] for name in template.variables}
        text = hotconfig.Prompts.fill(template.template_content, **named)
    messages = MessageRepository(session)
    await messages.create(Message(conversation_id=conversation_id, role="user", content=question))
    made_from: dict[str, object] = {
        "version": cfg.version,
        "template": template.template_name,
        "chunks": [str(chunk.id) for chunk in chunks],
    }
    return await messages.create(
        Message(conversation_id=conversation_id, role="assistant", content=text, meta=made_from)
    )


async def relevant(session: AsyncSession, transcript_id: UUID, question: str) -> list[Chunk]:
    """The `rag.top_k` chunks that share the most words with the question, in the order of the transcript."""
    asked = _words(question)
    chunks = await ChunkRepository(session).list_by_transcript(transcript_id)
    best = sorted(chunks, key=lambda chunk: len(asked & _words(chunk.chunk_text)), reverse=True)
    return sorted(best[: current().rag.top_k], key=lambda chunk: chunk.chunk_index)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))
