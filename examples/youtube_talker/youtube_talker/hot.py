"""The hot part: table `config` and the default templates, as one document.

    from youtube_talker.hot import current

    current().rag.top_k  # a memory read, as of the last commit

What a row has to look like is said here. A row that does not keeps the last good snapshot in every process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

import hotconfig
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

DOCUMENT = "talker"

TemplateType: TypeAlias = Literal["linkedin", "twitter", "blog", "email"]
Variable: TypeAlias = Literal["title", "channel", "question", "excerpts"]
"""What a template can have filled in."""


class Rag(hotconfig.Section):
    """How a question finds its excerpts.

    Attributes:
        top_k: how many chunks of a transcript go into an answer.
        chunk_size: how many words a chunk has at most; for transcripts that are added from now on.
    """

    top_k: Annotated[int, Field(ge=1, le=50)]
    chunk_size: Annotated[int, Field(ge=5, le=2000)]


class Template(hotconfig.Section):
    """A text in which `{title}` and the other variables that it names are filled in."""

    template_name: str
    template_content: str
    variables: tuple[Variable, ...]


class Talker(hotconfig.Snapshot):
    """The document: sections from `config`, whose keys are paths such as `rag.top_k`, and a template of each type."""

    rag: Rag
    templates: Mapping[TemplateType, Template]

    @model_validator(mode="before")
    @classmethod
    def _sections(cls, document: Any) -> Any:
        """`rag.top_k` of the table becomes `rag.top_k` of the snapshot."""
        if not isinstance(document, Mapping):
            return document
        sections: dict[str, dict[str, object]] = {}
        for key, value in document.get("config", {}).items():
            section, _, name = key.partition(".")
            sections.setdefault(section, {})[name] = value
        return {**sections, **document}

    @field_validator("templates")
    @classmethod
    def _complete(cls, templates: Mapping[TemplateType, Template]) -> Mapping[TemplateType, Template]:
        if missing := set(get_args(TemplateType)) - set(templates):
            raise PydanticCustomError("templates", "no default for {missing}", {"missing": ", ".join(sorted(missing))})
        return templates


client = hotconfig.Client(model=Talker, document=DOCUMENT)
current = client.current
