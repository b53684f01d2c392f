"""What edits do, as design and schema say it: documents, versions and history, as plain data without a database.

Everything is immutable: a rollback goes back to an older state, and nothing else has to be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from psycopg.errors import CheckViolation, UniqueViolation

Json = Mapping[str, Any]
Settings = Mapping[str, Json]

COMPLETE: Settings = {
    "ai_infra": {"llm_endpoint": "endpoint", "llm_temperature": 0.5, "llm_max_tokens": 100},
    "genie": {"space_id": "s", "space_name": "S", "description": None},
    "mlflow": {"experiment_name": "/x"},
    "prompts": {"system_prompt": "p", "slide_editing_instructions": "e", "user_prompt_template": "{question}"},
}


@dataclass(frozen=True)
class Profile:
    """A row of config_profiles, with those of its settings."""

    name: str
    is_default: bool = False
    description: str | None = None
    settings: Settings = field(default_factory=dict)

    def document(self, key: int) -> Json:
        described = {"name": self.name, "description": self.description or "", "is_default": self.is_default}
        filled = {
            domain: {name: "" if value is None else value for name, value in fields.items()}
            for domain, fields in self.settings.items()
        }
        return {"profile": {"id": key, **described}, **filled}


class Published(NamedTuple):
    """A row of config_documents."""

    version: int
    document: Json | None


class Row(NamedTuple):
    """A row of config_history."""

    version: int
    profile_id: int | None
    document: str
    domain: str
    action: str
    changed_by: str
    note: str | None
    changes: Json
    snapshot: Json | None


@dataclass(frozen=True)
class State:
    """What a session sees, and what it has said about the rest of its transaction."""

    profiles: Mapping[int, Profile] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)  # the table of which `own` is made
    given: Json | None = None  # to config_publish(), as `given`
    kept: Mapping[int, Profile] = field(default_factory=dict)  # in a temporary table
    version: int = 0
    published: Mapping[str, Published] = field(default_factory=dict)
    history: tuple[Row, ...] = ()
    actor: str = "postgres"
    note: str | None = None
    immediate: bool = False  # the constraints
    has_version: bool = False  # the transaction

    def names(self) -> set[str]:
        return {profile.name for profile in self.profiles.values()}

    def document(self, name: str) -> Json | None:
        found = self.published.get(name)
        return found and found.document

    def publish(self) -> State:
        """What happens at commit: one version of all that differs, or none."""
        active = self._default()
        old = {
            document["profile"]["id"]: (name, document)
            for name, (_, document) in self.published.items()
            if name.startswith("profile/") and document is not None
        }
        new = {key: (f"profile/{profile.name}", profile.document(key)) for key, profile in self.profiles.items()}
        own = {"own": {"templates": self.templates}, "given": self.given}

        # A name that nobody has any longer is left null.
        wanted = {**{name: None for name, _ in old.values()}, **dict(new.values()), **own, "active": active}
        differing = {name: document for name, document in wanted.items() if document != self.document(name)}
        if not differing:
            return self
        version = self.version if self.has_version else self.version + 1

        # By id, and not by name: so that a rename is one, and not a deletion and a creation.
        nothing = (None, None)
        changes: list[tuple[int | None, str, Json | None, Json | None]] = [
            (None, name, self.document(name), document) for name, document in own.items()
        ]
        for key in old.keys() | new.keys():
            (was, before), (name, after) = old.get(key, nothing), new.get(key, nothing)
            changes.append((key, name or was or "", before, after))
        # A document that is deleted and created again ends with the new one.
        changes.sort(key=lambda change: (change[1], change[3] is not None))
        rows = [
            Row(version, key, name, domain, action, self.actor, self.note, fields, before if after is None else after)
            for key, name, before, after in changes
            for domain, action, fields in difference(key, before, after)
        ]
        return replace(
            self,
            version=version,
            has_version=True,
            published={**self.published, **{name: Published(version, it) for name, it in differing.items()}},
            history=(*self.history, *rows),
        )

    def _default(self) -> Json | None:
        documents = [profile.document(key) for key, profile in self.profiles.items() if profile.is_default]
        if len(documents) > 1:
            raise UniqueViolation
        if documents and not documents[0].keys() >= COMPLETE.keys():
            raise CheckViolation
        return documents[0] if documents else None


def difference(key: int | None, given: Json | None, wanted: Json | None) -> Iterator[tuple[str, str, Json]]:
    """Domain, action and changes: field by field if there are any, else of one without a name."""
    old, new = given or {}, wanted or {}
    if not old and not new and given != wanted:
        yield "", "create" if given is None else "delete", {"": {"old": given, "new": wanted}}
    for domain in sorted(old.keys() | new.keys()):
        there = [document[domain] for document in (old, new) if domain in document]
        if len(there) == 2 and there[0] == there[1]:
            continue
        if all(isinstance(value, Mapping) for value in there):
            before, after = old.get(domain, {}), new.get(domain, {})
        else:
            before, after = {"": old.get(domain)}, {"": new.get(domain)}
        changes = {
            name: {"old": before.get(name), "new": after.get(name)}
            for name in before.keys() | after.keys()
            if name not in before or name not in after or before[name] != after[name]
        }
        action = "create" if domain not in old else "delete" if domain not in new else "update"
        if key is not None and (domain, action) == ("profile", "update") and "is_default" in changes:
            action = "activate" if changes["is_default"]["new"] else "update"
        yield domain, action, changes
