"""The built-in models: what a configuration profile is, each bound written once, at its field."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from hotconfig.snapshot import Section, Snapshot

__all__ = [
    "AIInfra",
    "GenieSpace",
    "MLflow",
    "ProfileConfig",
    "ProfileInfo",
    "Prompts",
    "default_profile",
]

# The rules below are PydanticCustomError, whose text may be shown: that of a ValueError may hold the input.
# Exactly these, not str.isspace(): the database's CHECK trims the same six characters.
_BLANK = " \t\n\r\f\v"


def _not_blank(text: str) -> str:
    if not text.strip(_BLANK):
        raise PydanticCustomError("profile", "must not be blank")
    return text


def _two_decimals(number: float) -> float:
    if round(number, 2) != number:
        raise PydanticCustomError("profile", "must have at most two decimal places, since the database keeps no more")
    return number


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise PydanticCustomError("profile", "must start with /")
    return path


def _asks(template: str) -> str:
    if "{question}" not in template:
        raise PydanticCustomError("profile", "must contain {question}")
    return template


# Behind Field(max_length=...), always: Pydantic counts "items" of what a function has returned.
NOT_BLANK = AfterValidator(_not_blank)


class ProfileInfo(Section):
    """Which profile this is.

    Attributes:
        id: of its row in `config_profiles`; it never changes.
        name: not blank.
        description: what it is for. Default: empty.
        is_default: whether those follow it who name no profile.
    """

    id: int
    name: Annotated[str, Field(max_length=100), NOT_BLANK]
    description: str = ""
    is_default: bool


class AIInfra(Section):
    """The model that answers.

    Attributes:
        llm_endpoint: its serving endpoint; not blank.
        llm_temperature: at most two decimal places.
        llm_max_tokens: of an answer, at most.
    """

    llm_endpoint: Annotated[str, Field(max_length=255), NOT_BLANK]
    llm_temperature: Annotated[float, Field(ge=0, le=1), AfterValidator(_two_decimals)]
    llm_max_tokens: Annotated[int, Field(gt=0, le=2_147_483_647)]


class GenieSpace(Section):
    """The Genie space that is asked for data.

    Attributes:
        space_id: not blank.
        space_name: for people.
        description: which data it has. Default: empty.
    """

    space_id: Annotated[str, Field(max_length=255), NOT_BLANK]
    space_name: Annotated[str, Field(max_length=255)]
    description: str = ""


class MLflow(Section):
    """Where runs are recorded.

    Attributes:
        experiment_name: begins with `/`.
    """

    experiment_name: Annotated[str, Field(max_length=255), AfterValidator(_absolute)]


class Prompts(Section):
    """What the model is told; the placeholders in it are filled by `fill`.

    Attributes:
        system_prompt: not blank.
        slide_editing_instructions: what it is told when it changes slides; not blank.
        user_prompt_template: contains `{question}`.
    """

    system_prompt: Annotated[str, NOT_BLANK]
    slide_editing_instructions: Annotated[str, NOT_BLANK]
    user_prompt_template: Annotated[str, NOT_BLANK, AfterValidator(_asks)]

    @staticmethod
    def fill(text: str, **values: str) -> str:
        """Replace each `{name}` in `text` by the value of that name.

        Plain replacement in one pass: other braces (HTML, JSON) and placeholders without a value
        stay as they are, and what is put in is not searched again: a question that contains
        `{max_slides}` is passed on as it was typed.
        """
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)


class ProfileConfig(Snapshot):
    """A configuration profile as readers hold it: typed, immutable, exactly one committed version.

    Not to be confused with `hotconfig.models.ConfigProfile`, the SQLAlchemy model of a row of
    `config_profiles`, which only those who write configuration see.

    Attributes:
        profile: which one it is.
        ai_infra: the model that answers.
        genie: the Genie space that is asked for data.
        mlflow: where runs are recorded.
        prompts: what the model is told.
    """

    profile: ProfileInfo
    ai_infra: AIInfra
    genie: GenieSpace
    mlflow: MLflow
    prompts: Prompts


_SYSTEM_PROMPT = """\
You are a data analyst who answers a question with a deck of HTML slides.

Find out first, then write:
1. Break the question into the figures you need.
2. Get every figure with the query_genie_space tool. Ask it one thing at a time, in plain words, \
and ask again when an answer is incomplete. Never invent, estimate or round away a number.
3. Decide what the figures say before you design anything: each slide makes one point, and its \
title states that point as a sentence.

The deck:
- At most {max_slides} slides. Fewer are better if they say it all.
- Each slide is one <div class="slide"> of 1280x720 pixels, complete in itself; nothing overflows.
- Tables and charts carry units, the period they cover and a source line.
- One typeface, one accent colour, generous margins, text no smaller than 18 px.

If the data does not answer the question, say so on a slide and show what it does tell.

Answer with raw HTML only: no Markdown, no code fences, no words before or after it."""

_EDITING_INSTRUCTIONS = """\
You are given some slides of an existing deck and a wish. Return the slides that shall replace them.

- Return only <div class="slide"> elements, one after another: no <html>, <head> or <body>, no \
Markdown, no explanation.
- You may return more or fewer slides than you were given, as the wish demands.
- Each slide is complete and 1280x720 pixels; do not refer to slides that you were not shown.
- Keep what the wish does not mention: figures, sources, wording, colours, layout.
- Get new figures with the query_genie_space tool; never invent one."""


def default_profile(environ: Mapping[str, str] = os.environ) -> ProfileConfig:
    """The profile that `hotconfig init` writes into an empty database, with id and version 0.

    The MLflow experiment lies in the folder of the user that `environ` names in USER, or else of
    `default_user`.

    Raises:
        pydantic.ValidationError: that name is too long for an experiment.
    """
    experiment = "/Workspace/Users/{username}/ai-slide-generator"
    return ProfileConfig(
        profile=ProfileInfo(id=0, name="default", is_default=True),
        ai_infra=AIInfra(
            llm_endpoint="databricks-claude-sonnet-4-5",
            llm_temperature=0.7,
            llm_max_tokens=60_000,
        ),
        genie=GenieSpace(
            space_id="01effebcc2781b6bbb749077a55d31e3",
            space_name="Databricks Usage Analytics",
            description="Databricks usage data space",
        ),
        mlflow=MLflow(experiment_name=Prompts.fill(experiment, username=environ.get("USER") or "default_user")),
        prompts=Prompts(
            system_prompt=_SYSTEM_PROMPT,
            slide_editing_instructions=_EDITING_INSTRUCTIONS,
            user_prompt_template="{question}",
        ),
    )
