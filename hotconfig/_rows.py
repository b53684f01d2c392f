"""A profile's document as rows of the settings tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from hotconfig._edits import difference
from hotconfig.errors import InvalidConfig
from hotconfig.models import ConfigAIInfra, ConfigGenieSpace, ConfigMLflow, ConfigProfile, ConfigPrompts
from hotconfig.profile import ProfileConfig, ProfileInfo
from hotconfig.snapshot import join_path, split_path

SETTINGS: Mapping[str, type[ConfigAIInfra | ConfigGenieSpace | ConfigMLflow | ConfigPrompts]] = {
    "ai_infra": ConfigAIInfra,
    "genie": ConfigGenieSpace,
    "mlflow": ConfigMLflow,
    "prompts": ConfigPrompts,
}
# What another verb is for.
INSTEAD = {
    "profile.id": "an id never changes",
    "profile.name": "rename the profile instead",
    "profile.is_default": "activate the profile instead",
}

Document = dict[str, Any]
Values = dict[str, dict[str, Any]]


def insert(session: Session, name: str, settings: Document) -> ConfigProfile:
    """A new profile, not the default one."""
    row = ConfigProfile(name=name, description="", is_default=False)
    session.add(row)
    session.flush()
    store(session, row, settings)
    return row


def store(session: Session, row: ConfigProfile, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Give a profile these values, some or all; what is equal is not written, what is not named stays."""
    if "description" in values.get("profile", {}):
        row.description = values["profile"]["description"]
    for domain, model in SETTINGS.items():
        if domain not in values:
            continue
        kept = session.scalar(sa.select(model).where(model.profile_id == row.id))
        if kept is None:
            session.add(model(profile_id=row.id, **values[domain]))
        else:
            assign(kept, values[domain])


def assign(row: object, values: Mapping[str, Any]) -> None:
    """Give a row's fields these values; what is equal is not written."""
    for field, value in values.items():
        held = getattr(row, field)
        if (float(held) if isinstance(value, float) else held) != value:
            setattr(row, field, value)


def make_default(session: Session, id_: int) -> None:
    """Make a profile the default one, and the one that was no longer."""
    # Two at the same time would otherwise make two defaults, and one of them be refused.
    session.execute(sa.select(ConfigProfile.id).order_by(ConfigProfile.id).with_for_update(key_share=True))
    wanted = ConfigProfile.id == id_
    session.execute(sa.update(ConfigProfile).where(ConfigProfile.is_default != wanted).values(is_default=wanted))


def from_rows(row: ConfigProfile) -> Document:
    """The document that the rows of a profile make: what ought to be published."""
    document: Document = {
        "profile": {
            "id": row.id,
            "name": row.name,
            "description": row.description or "",
            "is_default": row.is_default,
        }
    }
    for domain, settings in (
        ("ai_infra", row.ai_infra),
        ("genie", row.genie_space),
        ("mlflow", row.mlflow),
        ("prompts", row.prompts),
    ):
        if settings is not None:
            fields = section(domain)
            document[domain] = {field: getattr(settings, field) for field in fields}
    if row.ai_infra is not None:
        document["ai_infra"]["llm_temperature"] = float(row.ai_infra.llm_temperature)
    if row.genie_space is not None:
        document["genie"]["description"] = row.genie_space.description or ""
    return document


def section(domain: str) -> Mapping[str, Any]:
    """The fields of a section of a profile; none if there is no such section."""
    field = ProfileConfig.model_fields.get(domain)
    fields: Mapping[str, Any] = getattr(field.annotation, "model_fields", {}) if field is not None else {}
    return fields


def paths() -> list[str]:
    """All paths that can be set."""
    every = (f"{domain}.{field}" for domain in ProfileConfig.model_fields for field in section(domain))
    return [path for path in every if path not in INSTEAD]


def check_path(path: str) -> tuple[str, str]:
    """The domain and the field of a path. Raises InvalidConfig if it cannot be set."""
    if path in INSTEAD:
        raise InvalidConfig(f"{path} cannot be set: {INSTEAD[path]}")
    try:
        steps = split_path(path)
    except ValueError as error:
        raise InvalidConfig(str(error)) from None
    if len(steps) != 2 or path not in paths():
        leaves = [each for each in paths() if each.endswith(f".{path}")]
        near = (leaves or get_close_matches(path, paths(), cutoff=0.8))[:1]
        meant = "".join(f" (did you mean {each}?)" for each in near)
        raise InvalidConfig(f"{path} is no setting{meant}: there are {', '.join(paths())}")
    return steps[0], steps[1]


def checked(document: Document, values: Mapping[str, object]) -> Values:
    """The values at these paths, as they would be in this document.

    Only these: what else is in the document may be another one by the time that they are written. A section that the
    document lacks is there as a whole.

    Raises InvalidConfig that names each path and rule.
    """
    wanted: Document = {domain: dict(fields) for domain, fields in document.items() if isinstance(fields, dict)}
    named: dict[str, set[str]] = {}
    for path, value in values.items():
        domain, field = check_path(path)
        wanted.setdefault(domain, {})[field] = value
        named.setdefault(domain, set()).add(field)
    try:
        # Strictly: true is no number, and "5" neither.
        valid = ProfileConfig.model_validate(wanted, strict=True).model_dump()
    except ValidationError as error:
        told = (fault for _, fault in faults(error, values))
        raise InvalidConfig("nothing was saved: " + "; ".join(told)) from None
    return {
        domain: {name: value for name, value in valid[domain].items() if name in fields or domain not in document}
        for domain, fields in named.items()
    }


def faults(error: ValidationError, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(path, `path = value: rule`) for each rule that one of these values breaks."""
    for each in error.errors(include_input=False, include_context=False, include_url=False):
        path = join_path(map(str, each["loc"]))
        shown = f" = {difference(None, values[path])[1]}" if _can_be_shown(values.get(path)) else ""
        yield path, f"{path}{shown}: {each['msg']}"


def _can_be_shown(value: object) -> bool:
    return isinstance(value, (str, int, float))


def check_name(name: str) -> None:
    """Refuse a name that a profile cannot have. Raises InvalidConfig that names the rule."""
    try:
        ProfileInfo.model_validate({"id": 0, "name": name, "is_default": False})
    except ValidationError as error:
        rules = "; ".join(each["msg"] for each in error.errors(include_input=False, include_url=False))
        raise InvalidConfig(f"{difference(None, name)[1]} cannot be a profile's name: {rules}") from None
