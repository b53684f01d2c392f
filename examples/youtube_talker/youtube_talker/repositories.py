"""What the application asks its database, a class for each table.

Each works in the session that it is given, whose owner commits.

Missing rows are None. What a constraint refuses raises `sqlalchemy.exc.IntegrityError` where it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Select, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from youtube_talker.hot import TemplateType
from youtube_talker.models import (
    Base,
    Chunk,
    ConfigEntry,
    Conversation,
    Message,
    Template,
    Transcript,
    User,
    UserSession,
)

R = TypeVar("R", bound=Base)


class BaseRepository(Generic[R]):
    """What all tables have."""

    model: type[R]

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def create(self, row: R) -> R:
        """Insert it; it then has its id and whatever else the database sets."""
        self.session.add(row)
        await self.session.flush()
        return row

    async def get_by_id(self, key: UUID | str) -> R | None:
        return await self.session.get(self.model, key)

    async def delete(self, key: UUID | str) -> bool:
        """Whether there was such a row; what belongs to it goes with it."""
        row = await self.get_by_id(key)
        if row is not None:
            await self.session.delete(row)
            await self.session.flush()
        return row is not None

    async def _page(self, query: Select[R], limit: int | None = None, offset: int = 0) -> Sequence[R]:
        return (await self.session.scalars(query.limit(limit).offset(offset))).all()

    async def _delete(self, condition: ColumnElement[bool]) -> int:
        deleted = await self.session.execute(delete(self.model).where(condition))
        return cast(CursorResult[Any], deleted).rowcount


class UserRepository(BaseRepository[User]):
    model = User

    async def get_by_email(self, email: str) -> User | None:
        return await self.session.scalar(select(User).where(User.email == email))


class SessionRepository(BaseRepository[UserSession]):
    model = UserSession

    async def get_by_token(self, token_hash: str) -> UserSession | None:
        """The session of a token, unless it has expired."""
        current = and_(UserSession.token_hash == token_hash, UserSession.expires_at > func.clock_timestamp())
        return await self.session.scalar(select(UserSession).where(current))

    async def delete_expired(self) -> int:
        """How many there were."""
        return await self._delete(UserSession.expires_at <= func.clock_timestamp())


class ConversationRepository(BaseRepository[Conversation]):
    model = Conversation

    async def list_by_user(self, user_id: UUID, limit: int = 50, offset: int = 0) -> Sequence[Conversation]:
        """Those with the newest messages first."""
        of_user = select(Conversation).where(Conversation.user_id == user_id)
        return await self._page(of_user.order_by(Conversation.updated_at.desc(), Conversation.id), limit, offset)


class MessageRepository(BaseRepository[Message]):
    model = Message

    async def list_by_conversation(self, conversation_id: UUID, limit: int = 50, offset: int = 0) -> Sequence[Message]:
        """The oldest first."""
        said = select(Message).where(Message.conversation_id == conversation_id)
        return await self._page(said.order_by(Message.created_at, Message.id), limit, offset)

    async def get_last_n(self, conversation_id: UUID, n: int) -> Sequence[Message]:
        """The last `n`, the oldest of them first, as a model wants to read them."""
        said = select(Message).where(Message.conversation_id == conversation_id)
        return (await self._page(said.order_by(Message.created_at.desc(), Message.id.desc()), n))[::-1]


class TranscriptRepository(BaseRepository[Transcript]):
    model = Transcript

    async def get_by_video_id(self, youtube_video_id: str) -> Transcript | None:
        return await self.session.scalar(select(Transcript).where(Transcript.youtube_video_id == youtube_video_id))

    async def list_by_user(self, user_id: UUID, limit: int = 50, offset: int = 0) -> Sequence[Transcript]:
        """The newest first."""
        of_user = select(Transcript).where(Transcript.user_id == user_id)
        return await self._page(of_user.order_by(Transcript.created_at.desc(), Transcript.id), limit, offset)


class ChunkRepository(BaseRepository[Chunk]):
    model = Chunk

    async def create_many(self, chunks: Iterable[Chunk]) -> Sequence[Chunk]:
        """All of them, or none if one is refused."""
        rows = list(chunks)
        self.session.add_all(rows)
        await self.session.flush()
        return rows

    async def get_by_ids(self, ids: Sequence[UUID]) -> Sequence[Chunk]:
        """In the order of the ids, which is that of a search; without those that are missing."""
        found = {chunk.id: chunk for chunk in await self._page(select(Chunk).where(Chunk.id.in_(ids)))}
        return [found[each] for each in ids if each in found]

    async def list_by_transcript(self, transcript_id: UUID) -> Sequence[Chunk]:
        """In the order of the transcript."""
        return await self._page(select(Chunk).where(Chunk.transcript_id == transcript_id).order_by(Chunk.chunk_index))

    async def delete_by_transcript(self, transcript_id: UUID) -> int:
        """How many there were."""
        return await self._delete(Chunk.transcript_id == transcript_id)


class TemplateRepository(BaseRepository[Template]):
    model = Template

    async def get_template(self, template_type: TemplateType, user_id: UUID | None = None) -> Template | None:
        """A user's own template, else the default one, which `hot.current()` has without a query.

        Of several of his own it is the one that he made his default, else the one that he changed last.
        """
        whose = and_(Template.user_id.is_(None), Template.is_default)
        if user_id is not None:
            whose = or_(Template.user_id == user_id, whose)
        own_first = (Template.user_id.is_(None), Template.is_default.desc(), Template.updated_at.desc(), Template.id)
        query = select(Template).where(Template.template_type == template_type, whose)
        return await self.session.scalar(query.order_by(*own_first).limit(1))

    async def create_template(self, template: Template) -> Template:
        return await self.create(template)


class ConfigRepository(BaseRepository[ConfigEntry]):
    """For whoever edits settings. The application reads them from `hot.current()`."""

    model = ConfigEntry

    async def get_value(self, key: str) -> object:
        """Of JSON; None if there is no such key."""
        return await self.session.scalar(select(ConfigEntry.value).where(ConfigEntry.key == key))

    async def set_value(self, key: str, value: object, description: str | None = None) -> None:
        """Insert or update it; an existing description stays unless there is another one."""
        row = insert(ConfigEntry).values(key=key, value=value, description=description or "")
        changed = {"value": row.excluded.value}
        if description is not None:
            changed["description"] = row.excluded.description
        await self.session.execute(row.on_conflict_do_update(index_elements=[ConfigEntry.key], set_=changed))
