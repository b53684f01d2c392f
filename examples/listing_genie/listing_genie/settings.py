"""What is hot: which images a listing gets, with which prompts, and how often one is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import hotconfig
from hotconfig.conninfo import Conninfo
from pydantic import Field

DOCUMENT = "listing_genie"
PLACEHOLDERS = ("product_title", "features", "target_audience", "keywords")
# What a prompt is, to Pydantic and to PostgreSQL: text in which each brace belongs to one of the placeholders.
PROMPT = rf"^([^{{}}]|\{{({'|'.join(PLACEHOLDERS)})\}})+$"
MOST_RETRIES = 10


class ImageType(StrEnum):
    """The kinds of images."""

    MAIN = "main"
    INFOGRAPHIC_1 = "infographic_1"
    INFOGRAPHIC_2 = "infographic_2"
    LIFESTYLE = "lifestyle"
    COMPARISON = "comparison"


class Image(hotconfig.Section):
    """How an image of one type is made.

    Attributes:
        prompt: with `PLACEHOLDERS` that the session fills.
        max_retries: how often it is tried again when it fails.
    """

    prompt: Annotated[str, Field(pattern=PROMPT)]
    max_retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)]


class Settings(hotconfig.Snapshot):
    """One version of the table `image_settings`.

    Attributes:
        enabled: the types that a new session gets.
        images: how they are made, and how the others are.
    """

    enabled: tuple[ImageType, ...]
    images: Mapping[ImageType, Image]


def client(conninfo: Conninfo | None, data: Path) -> hotconfig.Client[Settings]:
    """Follows them. What it last read it keeps in the directory `data`, to start while PostgreSQL is down."""
    return hotconfig.Client(conninfo, model=Settings, document=DOCUMENT, cache=data / "settings.cache")
