"""Which images a session gets, and how they come about: with the settings as they are at each attempt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hotconfig
import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from listing_genie.settings import ImageType, Settings
from listing_genie.store import GenerationSession, ImageRecord, ImageStatus, SessionStatus, now


class Failed(Exception):
    """No image came of an attempt; the message is for people."""


class Busy(Exception):
    """The images of this session are being made."""


@dataclass(frozen=True)
class Order:
    """What one image is made from; all of it is of one version.

    Attributes:
        image_type: what kind.
        prompt: filled.
        version: of the settings.
        attempt: from 1.
        attempts: as many as there are at most.
    """

    image_type: ImageType
    prompt: str
    version: int
    attempt: int
    attempts: int


Draw = Callable[[Order], bytes]
"""Makes the file of an image, SVG. Raises Failed."""


@dataclass(frozen=True)
class Studio:
    """What makes images.

    Attributes:
        draw: one of them.
        current: the settings as they are now.
        directory: for the files; each session has one of its own in it.
    """

    draw: Draw
    current: Callable[[], Settings]
    directory: Path


def records(settings: Settings) -> list[ImageRecord]:
    """Of a new session: one for each type that is enabled now."""
    return [ImageRecord(image_type=each) for each in settings.enabled]


def make(store: sessionmaker[Session], session_id: str, studio: Studio) -> None:
    """Make the images of a session that are not complete.

    Each step is committed, so others see how far it is.

    Raises:
        Busy: somebody else is at it.
    """
    with store() as db:
        unfinished = GenerationSession.status.not_in([SessionStatus.PROCESSING, SessionStatus.COMPLETE])
        claim = sa.update(GenerationSession).where(GenerationSession.id == session_id, unfinished)
        # One statement, so that of two who ask at the same time one is refused.
        claimed = db.scalar(claim.values(status=SessionStatus.PROCESSING).returning(GenerationSession.id))
        db.commit()
        session = db.get_one(GenerationSession, session_id)
        if claimed is None:
            refuse_busy(session)
            return
        try:
            for image in session.images:
                if image.status != ImageStatus.COMPLETE:
                    _make_one(db, session, image, studio)
        finally:
            session.status = _outcome(session)
            session.completed_at = now()
            db.commit()


def _make_one(db: Session, session: GenerationSession, image: ImageRecord, studio: Studio) -> None:
    image.status, image.retry_count, image.error_message = ImageStatus.PROCESSING, 0, None
    db.commit()
    while image.status == ImageStatus.PROCESSING:
        settings = studio.current()  # once for an attempt: what is edited meanwhile is for the next one
        how = settings.images.get(image.image_type)
        retries = how.max_retries if how else 0
        try:
            if how is None:
                raise Failed(f"image_settings has no row '{image.image_type}' any more")
            prompt, attempt = _filled(how.prompt, session), image.retry_count + 1
            content = studio.draw(Order(image.image_type, prompt, settings.version, attempt, retries + 1))
            path = studio.directory / session.id / f"{image.image_type}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            image.storage_path = str(path)
            image.status, image.error_message, image.completed_at = ImageStatus.COMPLETE, None, now()
        except (Failed, OSError) as error:
            image.error_message = str(error)
            if image.retry_count < retries:
                image.retry_count += 1
            else:
                image.status = ImageStatus.FAILED
        db.commit()


def _filled(prompt: str, session: GenerationSession) -> str:
    features = [each for each in (session.feature_1, session.feature_2, session.feature_3) if each]
    return hotconfig.Prompts.fill(
        prompt,
        product_title=session.product_title,
        features=", ".join(features),
        target_audience=session.target_audience or "anybody",
        keywords=", ".join(each.keyword for each in session.keywords),
    )


def _outcome(session: GenerationSession) -> SessionStatus:
    complete = [image.status == ImageStatus.COMPLETE for image in session.images]
    if all(complete):
        return SessionStatus.COMPLETE
    return SessionStatus.PARTIAL if any(complete) else SessionStatus.FAILED


def refuse_busy(session: GenerationSession) -> None:
    """Raises Busy if its images are being made."""
    if session.status == SessionStatus.PROCESSING:
        raise Busy("its images are being made")


def forget(db: Session, session: GenerationSession, directory: Path) -> None:
    """Delete a session, with its keywords, its images and their files."""
    db.delete(session)
    shutil.rmtree(directory / session.id, ignore_errors=True)


def recover(db: Session, directory: Path) -> None:
    """At start-up: delete what has expired; what was being made when the process ended is to be made again."""
    for expired in db.scalars(sa.select(GenerationSession).where(GenerationSession.expires_at <= now())):
        forget(db, expired, directory)
    interrupted = sa.update(GenerationSession).where(GenerationSession.status == SessionStatus.PROCESSING)
    db.execute(interrupted.values(status=SessionStatus.PENDING))
