"""The built-in configuration: its bounds, its defaults and how placeholders are filled."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hotconfig.profile import ProfileConfig, Prompts, default_profile

BLANKS = ["", " ", "\t", " \t\n\r\f\v"]


def with_value(path: str, value: object) -> ProfileConfig:
    document: dict[str, Any] = default_profile({}).model_dump()
    section, field = path.split(".")
    document[section][field] = value
    return ProfileConfig.model_validate(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("profile.name", "n" * 100),
        ("profile.description", ""),
        ("ai_infra.llm_endpoint", "e" * 255),
        ("ai_infra.llm_temperature", 0),
        ("ai_infra.llm_temperature", 1),
        ("ai_infra.llm_temperature", 0.07),
        ("ai_infra.llm_temperature", 0.29),
        ("ai_infra.llm_max_tokens", 1),
        ("ai_infra.llm_max_tokens", 2**31 - 1),
        ("genie.space_id", "s" * 255),
        ("genie.space_name", ""),
        ("genie.space_name", "s" * 255),
        ("mlflow.experiment_name", "/"),
        ("mlflow.experiment_name", "/" * 255),
        ("prompts.system_prompt", "\u00a0"),  # a no-break space is not ASCII: the CHECK passes it, too
        ("prompts.system_prompt", "\x1f"),  # isspace(), but not one of the six
        ("prompts.user_prompt_template", "a {question} b"),
    ],
)
def test_accepted(path: str, value: object) -> None:
    """What lies on a bound is accepted."""
    section, field = path.split(".")
    assert getattr(getattr(with_value(path, value), section), field) == value


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("profile.name", "n" * 101, "at most 100 characters"),
        ("profile.description", None, "valid string"),
        ("ai_infra.llm_endpoint", "e" * 256, "at most 255 characters"),
        ("ai_infra.llm_temperature", -0.01, "greater than or equal to 0"),
        ("ai_infra.llm_temperature", 1.01, "less than or equal to 1"),
        ("ai_infra.llm_temperature", 0.705, "two decimal places"),
        ("ai_infra.llm_temperature", float("nan"), "finite number|less than or equal"),
        ("ai_infra.llm_max_tokens", 0, "greater than 0"),
        ("ai_infra.llm_max_tokens", 2**31, "less than or equal to 2147483647"),
        ("ai_infra.llm_max_tokens", 1.5, "valid integer"),
        ("genie.space_id", "s" * 256, "at most 255 characters"),
        ("genie.space_name", "s" * 256, "at most 255 characters"),
        ("mlflow.experiment_name", "relative", "must start with /"),
        ("mlflow.experiment_name", "\n/late", "must start with /"),
        ("mlflow.experiment_name", "/" * 256, "at most 255 characters"),
        ("prompts.user_prompt_template", "no placeholder", "must contain {question}"),
        *(
            (path, blank, "must not be blank")
            for blank in BLANKS
            for path in (
                "profile.name",
                "ai_infra.llm_endpoint",
                "genie.space_id",
                "prompts.system_prompt",
                "prompts.slide_editing_instructions",
                "prompts.user_prompt_template",
            )
        ),
    ],
)
def test_refused(path: str, value: object, rule: str) -> None:
    """What lies beyond a bound is refused, and the error names the field and the rule."""
    with pytest.raises(ValidationError, match=rule) as caught:
        with_value(path, value)
    assert path in str(caught.value)


@pytest.mark.parametrize("section", ["profile", "ai_infra", "genie", "mlflow", "prompts"])
def test_every_section_is_required(section: str) -> None:
    """A profile that lacks its settings is refused, naming what is missing."""
    document = default_profile({}).model_dump()
    del document[section]
    with pytest.raises(ValidationError, match=f"{section}\n  Field required"):
        ProfileConfig.model_validate(document)


def test_defaults() -> None:
    """The defaults are those that `hotconfig init` writes."""
    config = default_profile({"USER": "ada"})
    assert config.version == 0
    assert config.profile.model_dump() == {
        "id": 0,
        "name": "default",
        "description": "",
        "is_default": True,
    }
    assert config.ai_infra.model_dump() == {
        "llm_endpoint": "databricks-claude-sonnet-4-5",
        "llm_temperature": 0.7,
        "llm_max_tokens": 60000,
    }
    assert config.genie.model_dump() == {
        "space_id": "01effebcc2781b6bbb749077a55d31e3",
        "space_name": "Databricks Usage Analytics",
        "description": "Databricks usage data space",
    }
    assert config.mlflow.experiment_name == "/Workspace/Users/ada/ai-slide-generator"
    assert "{max_slides}" in config.prompts.system_prompt
    assert config.prompts.user_prompt_template == "{question}"


@pytest.mark.parametrize("environ", [{}, {"USER": ""}])
def test_defaults_without_a_user(environ: dict[str, str]) -> None:
    """Without $USER the experiment belongs to default_user."""
    assert default_profile(environ).mlflow.experiment_name == "/Workspace/Users/default_user/ai-slide-generator"


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("at most {max_slides} slides", {"max_slides": "10"}, "at most 10 slides"),
        ("{a}{b}{a}", {"a": "1", "b": "2"}, "121"),
        ("{a} {unknown}", {"a": "1"}, "1 {unknown}"),
        ('{"json": {"a": 1}} p {color: red} {} {a}', {"a": "x"}, '{"json": {"a": 1}} p {color: red} {} x'),
        ("{question}", {"question": "{max_slides}", "max_slides": "10"}, "{max_slides}"),
        ("{question}", {"question": r"\1 \g<0>"}, r"\1 \g<0>"),
        ("{a.b} {a[0]} {a!r}", {"a": "x"}, "{a.b} {a[0]} {a!r}"),
    ],
)
def test_fill(text: str, values: dict[str, str], filled: str) -> None:
    """Placeholders are replaced once and plainly; every other brace stays."""
    assert Prompts.fill(text, **values) == filled
