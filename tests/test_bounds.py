"""Each bound of the models is the database's too: what one side refuses the other one refuses."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from conftest import Connect
from psycopg.sql import SQL, Identifier
from pydantic import ValidationError
from sessions import document, value

from hotconfig import ProfileConfig, Section
from hotconfig.profile import AIInfra, GenieSpace, MLflow, ProfileInfo, Prompts, default_profile

TABLES: dict[type[Section], str] = {
    ProfileInfo: "config_profiles",
    AIInfra: "config_ai_infra",
    GenieSpace: "config_genie_spaces",
    MLflow: "config_mlflow",
    Prompts: "config_prompts",
}
Cases = dict[tuple[type[Section], str], Sequence[object]]

BLANK = ["", " ", "\t", "\n", "\r", "\f", "\v", " \t\n\r\f\v "]
NOT_BLANK = ["x", "v", " x ", "\u00a0", "\u2003", "\u0085", "\x1f", "\u200b"]  # only the six of ASCII are blank
ANY = ["", " ", "x", "ä" * 5000]

ACCEPTED: Cases = {
    (ProfileInfo, "name"): [*NOT_BLANK, "x" * 100, "ä" * 100, "😀" * 100],
    (ProfileInfo, "description"): ANY,
    (ProfileInfo, "is_default"): [True, False],
    (AIInfra, "llm_endpoint"): [*NOT_BLANK, "x" * 255, "😀" * 255],
    (AIInfra, "llm_temperature"): [0, 0.0, 0.01, 0.29, 0.57, 0.7, 0.99, 1, 1.0],
    (AIInfra, "llm_max_tokens"): [1, 60_000, 2_147_483_647],
    (GenieSpace, "space_id"): [*NOT_BLANK, "x" * 255, "😀" * 255],
    (GenieSpace, "space_name"): ["", " ", "x" * 255, "😀" * 255],
    (GenieSpace, "description"): ANY,
    (MLflow, "experiment_name"): ["/", "/x", "/" + "ä" * 254],
    (Prompts, "system_prompt"): [*NOT_BLANK, "x" * 300_000],
    (Prompts, "slide_editing_instructions"): [*NOT_BLANK, "x" * 300_000],
    (Prompts, "user_prompt_template"): ["{question}", "a {question} b\n{question}", "{{question}}"],
}
REFUSED: Cases = {
    (ProfileInfo, "name"): [*BLANK, "x" * 101, "x" * 100 + "ä"],
    (AIInfra, "llm_endpoint"): [*BLANK, "x" * 256],
    (AIInfra, "llm_temperature"): [-0.01, 1.01, 2, float("nan"), float("inf")],
    (AIInfra, "llm_max_tokens"): [0, -1, 2_147_483_648],
    (GenieSpace, "space_id"): [*BLANK, "x" * 256],
    (GenieSpace, "space_name"): ["x" * 256],
    (MLflow, "experiment_name"): ["", "x", " /x", "/" + "x" * 255],
    (Prompts, "system_prompt"): BLANK,
    (Prompts, "slide_editing_instructions"): BLANK,
    (Prompts, "user_prompt_template"): ["", " ", "question", "{Question}", "{ question }", "{question"],
}


def pairs(cases: Cases) -> list[object]:
    return [
        pytest.param(model, field, values, id=f"{model.__name__}.{field}") for (model, field), values in cases.items()
    ]


def write(editor: psycopg.Connection, model: type[Section], field: str, given: object) -> None:
    editor.execute(SQL("UPDATE {} SET {} = %s").format(Identifier(TABLES[model]), Identifier(field)), [given])


def validate(model: type[Section], field: str, given: object) -> object:
    values = next(section.model_dump() for _, section in default_profile({}) if type(section) is model)
    return getattr(model.model_validate({**values, field: given}), field)


def test_every_bound_has_its_cases() -> None:
    """Every field of the models, but the id that the database gives, and each that refuses anything."""
    fields = {(model, field) for model in TABLES for field in model.model_fields}
    assert ACCEPTED.keys() == fields - {(ProfileInfo, "id")}
    bounded = {(model, field) for model, field in fields if model.model_fields[field].metadata}
    assert REFUSED.keys() == bounded


@pytest.mark.parametrize(("model", "field", "values"), pairs(ACCEPTED))
def test_what_both_accept(connect: Connect, model: type[Section], field: str, values: Sequence[object]) -> None:
    """The database publishes it and the model reads it, unchanged."""
    editor = connect()
    for given in values:
        if (model, field) != (ProfileInfo, "is_default"):
            write(editor, model, field, given)
            published = document(editor, "active")
            read = ProfileConfig.model_validate(published)
            section = next(section for _, section in read if type(section) is model)
            assert getattr(section, field) == given
        assert validate(model, field, given) == given


@pytest.mark.parametrize(("model", "field", "values"), pairs(REFUSED))
def test_what_both_refuse(connect: Connect, model: type[Section], field: str, values: Sequence[object]) -> None:
    """The database with a CHECK or the column's type, the model with a ValidationError."""
    editor = connect()
    for given in values:
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.DataError)):
            write(editor, model, field, given)
        with pytest.raises(ValidationError):
            validate(model, field, given)


@pytest.mark.parametrize(("given", "kept"), [(0.705, 0.71), (0.704, 0.7), (0.001, 0.0), (1.004, 1.0), (-0.004, 0.0)])
def test_the_database_rounds_a_temperature(connect: Connect, given: float, kept: float) -> None:
    """The one difference: numeric(3,2) rounds to two decimals, before its CHECK; the model refuses more of them."""
    editor = connect()
    editor.execute("UPDATE config_ai_infra SET llm_temperature = %s::numeric", [str(given)])

    assert document(editor)["ai_infra"]["llm_temperature"] == kept
    with pytest.raises(ValidationError):
        validate(AIInfra, "llm_temperature", given)


@pytest.mark.parametrize("field", ["llm_endpoint", "llm_temperature", "llm_max_tokens", "profile_id"])
def test_null_is_refused(connect: Connect, field: str) -> None:
    """Where a model has no default the column is NOT NULL."""
    with pytest.raises(psycopg.errors.NotNullViolation):
        connect().execute(SQL("UPDATE config_ai_infra SET {} = NULL").format(Identifier(field)))


def test_every_field_that_must_be_there_is_not_null(connect: Connect) -> None:
    """The nullable columns are the descriptions, which are published as ''."""
    nullable = connect().execute(
        """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_name = ANY (%s) AND is_nullable = 'YES' AND column_name !~ '_by$' ORDER BY 1
    """,
        [list(TABLES.values())],
    )
    assert nullable.fetchall() == [("config_genie_spaces", "description"), ("config_profiles", "description")]
    editor = connect()
    editor.execute("UPDATE config_genie_spaces SET description = NULL")
    assert document(editor)["genie"]["description"] == ""


def test_the_defaults_match(connect: Connect) -> None:
    """default_profile() is what the database publishes of the same values."""
    editor = connect()
    published = ProfileConfig.model_validate(document(editor))
    expected = default_profile({})

    assert published.model_dump(exclude={"profile", "version"}) == expected.model_dump(exclude={"profile", "version"})
    assert published.profile == expected.profile.model_copy(update={"id": published.profile.id})
    assert value(editor, "SELECT created_by FROM config_profiles") == "system"
