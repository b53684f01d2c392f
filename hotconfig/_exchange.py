"""Profiles as plain data, for files that lie in Git: what `Admin.export` gives and `Admin.import_` takes.

    {"hotconfig": 1, "default": "a", "profiles": {"a": {"description": "", "ai_infra": {...}, ...}, ...}}

Ids, versions and times are not in it: they are those of one database. Which profile is the default one stands in one
place, so that two can never be, and only in an export of all: a single profile is carried to another database without
becoming the default one there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from hotconfig import _past, _rows
from hotconfig._content import PROFILE, missing
from hotconfig._edits import difference, told
from hotconfig._engine import one_of
from hotconfig._rows import SETTINGS, Values
from hotconfig.errors import InvalidConfig, VersionConflict
from hotconfig.models import ConfigHistory, ConfigProfile, config_documents
from hotconfig.profile import ProfileConfig

FORMAT = 1
RELATIONS: Mapping[str, InstrumentedAttribute[Any]] = {
    "ai_infra": ConfigProfile.ai_infra,
    "genie": ConfigProfile.genie_space,
    "mlflow": ConfigProfile.mlflow,
    "prompts": ConfigProfile.prompts,
}

UNKEEPABLE = re.compile("[\0\ud800-\udfff]")  # a NUL, and half a character

At = tuple[str, ...]


class Problem(NamedTuple):
    """What is wrong, and with which part of the data: `("profiles", "a", "ai_infra", "llm_temperature")`."""

    at: At
    rule: str

    def __str__(self) -> str:
        if self.at[:1] == ("profiles",) and len(self.at) > 1:
            field = ".".join(self.at[2:])
            return f'profile "{self.at[1]}": {field}{": " if field else ""}{self.rule}'
        return f"{'.'.join(self.at) or 'the whole'}: {self.rule}"


@dataclass(slots=True)
class Wanted:
    """What an import is to bring about."""

    profiles: dict[str, Values]
    default: str | None


# ---- out


def export(session: Session, names: Collection[str] | None) -> dict[str, object]:
    """These profiles, by default all, as they are published. Raises NoSuchProfile."""
    columns = sa.select(config_documents.c.document).where(config_documents.c.document.is_not(None))
    if names is None:
        columns = columns.where(config_documents.c.name.startswith(PROFILE))
    else:
        columns = columns.where(one_of(config_documents.c.name, [PROFILE + name for name in names]))
    documents = {document["profile"]["name"]: document for document in session.scalars(columns)}
    for name in names or ():
        if name not in documents:
            raise missing(PROFILE + name)
    exported: dict[str, object] = {"hotconfig": FORMAT}
    if names is None:
        for name, document in documents.items():
            if document["profile"]["is_default"]:
                exported["default"] = name
    # Sorted here: the server's collation is that of one database.
    exported["profiles"] = {name: _plain(documents[name]) for name in sorted(documents)}
    return exported


def _plain(document: Mapping[str, Any]) -> dict[str, object]:
    plain: dict[str, object] = {"description": document["profile"]["description"]}
    for domain in SETTINGS:
        if domain in document:
            plain[domain] = {field: document[domain][field] for field in _rows.section(domain)}
    return plain


# ---- in: what is wrong with it


def checked(data: object, *, prune: bool = False) -> Wanted:
    """What the data say. Raises InvalidConfig that names everything that is wrong with them."""
    wanted, problems = examined(data, prune=prune)
    if problems:
        raise InvalidConfig("nothing was saved: " + "; ".join(map(str, problems)))
    return wanted


def examined(data: object, *, prune: bool = False) -> tuple[Wanted, list[Problem]]:
    """What the data say, and what is wrong with them."""
    wanted = Wanted({}, None)
    if not isinstance(data, Mapping):
        return wanted, [Problem((), "must be an object with hotconfig and profiles")]
    number = data.get("hotconfig")
    if type(number) is not int or number != FORMAT:
        # Of another format nothing else can be said.
        newer = isinstance(number, int) and number > FORMAT
        rule = f"this is format {number}, and this hotconfig reads {FORMAT}: upgrade hotconfig"
        return wanted, [Problem(("hotconfig",), rule if newer else f"must be the number of the format, {FORMAT}")]
    problems = [*_unknown((), data, ("hotconfig", "default", "profiles"))]
    profiles = data.get("profiles")
    if not isinstance(profiles, Mapping):
        return wanted, [*problems, Problem(("profiles",), "must be an object with a profile under each name")]
    for name, profile in profiles.items():
        values, wrong = _profile(name, profile)
        wanted.profiles[name] = values
        problems += wrong
    if "default" in data:
        wanted.default = data["default"]
        if not isinstance(wanted.default, str) or wanted.default not in profiles:
            problems.append(Problem(("default",), "must be the name of one of the profiles here"))
    elif prune:
        # As in an export of some profiles, which would delete all others.
        problems.append(Problem(("default",), "is required to delete the profiles that are not here"))
    return wanted, problems


def _profile(name: object, profile: object) -> tuple[Values, list[Problem]]:
    """The values of a profile, as Pydantic leaves them, and what is wrong."""
    at = ("profiles", str(name))
    if not isinstance(name, str):
        return {}, [Problem(at, "a name must be text: put it in quotes")]
    if not isinstance(profile, Mapping):
        return {}, [Problem(at, f"must be an object with {', '.join(('description', *SETTINGS))}")]
    problems = [*_unknown(at, profile, ("description", *SETTINGS))]
    whole: dict[str, Any] = {"profile": {"id": 0, "name": name, "is_default": False}}
    # Nothing is filled in: what is not there may as well have been lost in a merge.
    if "description" in profile:
        whole["profile"]["description"] = profile["description"]
    else:
        problems.append(Problem((*at, "description"), "is required"))
    for domain in SETTINGS:
        given, fields = profile.get(domain), _rows.section(domain)
        if domain not in profile:
            problems.append(Problem((*at, domain), "is required"))
        elif not isinstance(given, Mapping):
            problems.append(Problem((*at, domain), f"must be an object with {', '.join(fields)}"))
        else:
            problems += _unknown((*at, domain), given, fields)
            problems += [Problem((*at, domain, field), "is required") for field in fields if field not in given]
            whole[domain] = given
    try:
        # Strictly: true is no number, and "5" neither.
        valid = ProfileConfig.model_validate(whole, strict=True).model_dump()
    except ValidationError as error:
        problems += _broken(at, whole, error)
        return {}, problems
    problems += _unkeepable(at, valid)
    return {**valid, "profile": {"description": valid["profile"]["description"]}}, problems


def _broken(at: At, whole: Mapping[str, Any], error: ValidationError) -> Iterator[Problem]:
    for each in error.errors(include_input=False, include_context=False, include_url=False):
        if each["type"] == "missing":
            continue  # said already, with what has a default in the model
        domain, field = (str(step) for step in each["loc"])
        value = whole[domain][field]
        shown = f"{difference(None, value)[1]}: " if isinstance(value, (str, int, float)) else ""
        yield Problem(_place(at, domain, field), f"{shown}{each['msg']}")


def _unkeepable(at: At, valid: Mapping[str, Any]) -> Iterator[Problem]:
    for domain in ("profile", *SETTINGS):
        for field, value in valid[domain].items():
            found = UNKEEPABLE.search(value) if isinstance(value, str) else None
            if found:
                rule = f"must not contain U+{ord(found[0]):04X}, which PostgreSQL cannot keep"
                yield Problem(_place(at, domain, field), rule)


def _place(at: At, domain: str, field: str) -> At:
    if domain == "profile":
        return at if field == "name" else (*at, field)
    return (*at, domain, field)


def _unknown(at: At, given: Mapping[Any, object], known: Collection[str]) -> Iterator[Problem]:
    for key in given:
        if key not in known:
            yield Problem((*at, str(key)), f"is not known here: there are {', '.join(known)}")


# ---- in: into the tables


def store(session: Session, wanted: Wanted, *, prune: bool, expect_version: int | None) -> None:
    """Make the profiles what is wanted; what is equal is not written. Raises VersionConflict."""
    names = list(wanted.profiles)
    seen = _expect(session, names, prune=prune, expect_version=expect_version)
    everything = [joinedload(relation) for relation in RELATIONS.values()]
    found = session.scalars(sa.select(ConfigProfile).options(*everything).where(one_of(ConfigProfile.name, names)))
    rows = {row.name: row for row in found}
    for name in sorted(names):
        if name not in rows:
            rows[name] = ConfigProfile(name=name, is_default=False)
            session.add(rows[name])
        _rows.assign(rows[name], wanted.profiles[name]["profile"])
        for domain, relation in RELATIONS.items():
            values = wanted.profiles[name][domain]
            kept = getattr(rows[name], relation.key)
            if kept is None:
                setattr(rows[name], relation.key, SETTINGS[domain](**values))
            else:
                _rows.assign(kept, values)
    session.flush()
    if wanted.default is not None and not rows[wanted.default].is_default:
        _rows.make_default(session, rows[wanted.default].id)
    if prune:
        # And not whatever is there by now: somebody may have created another one.
        session.execute(sa.delete(ConfigProfile).where(one_of(ConfigProfile.name, sorted(seen - set(names)))))


def _expect(session: Session, names: Sequence[str], *, prune: bool, expect_version: int | None) -> set[str]:
    """See to it that nothing is overwritten which this transaction has not seen: the server checks at the end.

    Returns the names of the profiles that it has seen.
    """
    documents = [PROFILE + name for name in names]
    whose = config_documents.c.name.startswith(PROFILE) if prune else one_of(config_documents.c.name, documents)
    columns = sa.select(config_documents.c.name, config_documents.c.version).where(whose)
    versions = {row.name: row.version for row in session.execute(columns)}
    for name, version in sorted(versions.items()):
        if expect_version is not None and version > expect_version:
            rows = _past.filtered(sa.select(ConfigHistory), document=name)
            changes = told(_past.after(session, rows, expect_version))
            conflict = f'document "{name}" has changed since version {expect_version}.'
            raise VersionConflict(" ".join([conflict, *changes]))
    expected = dict.fromkeys(documents) | versions
    session.execute(sa.select(sa.func.set_config("hotconfig.expect_version", json.dumps(expected), True)))
    return {document.removeprefix(PROFILE) for document in versions}
