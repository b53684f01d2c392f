"""Statements that edit, each with what it does to the tables of the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from model import COMPLETE, Json, Profile, State
from psycopg.errors import CheckViolation, RestrictViolation, UniqueViolation

TABLES = {
    "ai_infra": "config_ai_infra",
    "genie": "config_genie_spaces",
    "mlflow": "config_mlflow",
    "prompts": "config_prompts",
}
OF = "profile_id IN (SELECT id FROM config_profiles WHERE name = ANY (%s))"
CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "llm_temperature": lambda number: 0 <= number <= 1,
    "experiment_name": lambda path: path.startswith("/"),
    "user_prompt_template": lambda template: "{question}" in template,
}


Setting = tuple[str, str, object]
"""Domain, field and value."""


class Step(NamedTuple):
    edit: Callable[[State], State]
    sql: str
    params: tuple[object, ...] = ()


def nothing(sql: str) -> Step:
    return Step(lambda state: state, sql)


def without_triggers(step: Step) -> tuple[Step, ...]:
    """Published nevertheless: by config_touch()."""
    role = "SET LOCAL session_replication_role = "
    return nothing(role + "replica"), step, nothing(role + "origin"), nothing("SELECT config_touch()")


def each(state: State, names: list[str] | None, change: Callable[[Profile], Profile]) -> State:
    """Change the profiles of these names; all if None."""
    changed = {
        key: change(profile) if names is None or profile.name in names else profile
        for key, profile in state.profiles.items()
    }
    return replace(state, profiles=changed)


# ---- profiles


def create(key: int, name: str, *, is_default: bool = False) -> Step:
    def edit(state: State) -> State:
        if key in state.profiles or name in state.names():
            raise UniqueViolation
        return replace(state, profiles={**state.profiles, key: Profile(name, is_default)})

    sql = "INSERT INTO config_profiles (id, name, is_default) VALUES (%s, %s, %s)"
    return Step(edit, sql, (key, name, is_default))


def delete(names: list[str]) -> Step:
    def edit(state: State) -> State:
        if any(profile.is_default and profile.name in names for profile in state.profiles.values()):
            raise RestrictViolation
        kept = {key: profile for key, profile in state.profiles.items() if profile.name not in names}
        return replace(state, profiles=kept)

    return Step(edit, "DELETE FROM config_profiles WHERE name = ANY (%s)", (names,))


def rename(old: str, new: str) -> Step:
    def edit(state: State) -> State:
        if old in state.names() and new in state.names() - {old}:
            raise UniqueViolation
        return each(state, [old], lambda profile: replace(profile, name=new))

    return Step(edit, "UPDATE config_profiles SET name = %s WHERE name = %s", (new, old))


def recreate(key: int, name: str) -> tuple[Step, ...]:
    return delete([name]), *create_complete(key, name)


def take_over(old: str, new: str) -> tuple[Step, ...]:
    return delete([new]), rename(old, new)


def swap(one: str, other: str) -> tuple[Step, ...]:
    return rename(one, "swapping"), rename(other, one), rename("swapping", other)


def describe(names: list[str], description: str | None) -> Step:
    def edit(state: State) -> State:
        return each(state, names, lambda profile: replace(profile, description=description))

    return Step(edit, "UPDATE config_profiles SET description = %s WHERE name = ANY (%s)", (description, names))


def activate(name: str) -> Step:
    """There is no default profile afterwards if there is none of this name."""

    def edit(state: State) -> State:
        return each(state, None, lambda profile: replace(profile, is_default=profile.name == name))

    return Step(edit, "UPDATE config_profiles SET is_default = (name = %s)", (name,))


def make_default(name: str) -> Step:
    """Perhaps the second one."""

    def edit(state: State) -> State:
        return each(state, [name], lambda profile: replace(profile, is_default=True))

    return Step(edit, "UPDATE config_profiles SET is_default = true WHERE name = %s", (name,))


def truncate_profiles() -> Step:
    def edit(state: State) -> State:
        if any(profile.is_default for profile in state.profiles.values()):
            raise RestrictViolation
        return replace(state, profiles={})

    return Step(edit, "TRUNCATE config_profiles CASCADE")


# ---- settings


def add(names: list[str], domain: str) -> Step:
    def added(profile: Profile) -> Profile:
        if domain in profile.settings:
            raise UniqueViolation
        return replace(profile, settings={**profile.settings, domain: fields})

    fields = COMPLETE[domain]
    sql = f"""
        INSERT INTO {TABLES[domain]} (profile_id, {", ".join(fields)})
        SELECT id, {", ".join(["%s"] * len(fields))} FROM config_profiles WHERE name = ANY (%s)
    """
    return Step(lambda state: each(state, names, added), sql, (*fields.values(), names))


def create_complete(key: int, name: str, *, is_default: bool = False) -> tuple[Step, ...]:
    return create(key, name, is_default=is_default), *(add([name], domain) for domain in COMPLETE)


def configure(names: list[str], setting: Setting) -> Step:
    domain, field, value = setting

    def configured(profile: Profile) -> Profile:
        if domain not in profile.settings:
            return profile
        if field in CHECKS and not CHECKS[field](value):
            raise CheckViolation
        return replace(profile, settings={**profile.settings, domain: {**profile.settings[domain], field: value}})

    sql = f"UPDATE {TABLES[domain]} SET {field} = %s WHERE {OF}"
    return Step(lambda state: each(state, names, configured), sql, (value, names))


def _without(profile: Profile, domain: str) -> Profile:
    return replace(profile, settings={name: each for name, each in profile.settings.items() if name != domain})


def remove(names: list[str], domain: str) -> Step:
    def edit(state: State) -> State:
        return each(state, names, lambda profile: _without(profile, domain))

    return Step(edit, f"DELETE FROM {TABLES[domain]} WHERE {OF}", (names,))


def truncate(domain: str) -> Step:
    def edit(state: State) -> State:
        return each(state, None, lambda profile: _without(profile, domain))

    return Step(edit, f"TRUNCATE {TABLES[domain]}")


def truncate_and_copy_back(domain: str) -> tuple[Step, ...]:
    table = TABLES[domain]
    return (
        Step(lambda state: replace(state, kept=state.profiles), f"CREATE TEMP TABLE kept AS TABLE {table}"),
        truncate(domain),
        Step(lambda state: replace(state, profiles=state.kept), f"INSERT INTO {table} TABLE kept"),
        nothing("DROP TABLE kept"),
    )


def move(old: str, new: str, domain: str) -> Step:
    """One profile's row to another."""

    def edit(state: State) -> State:
        named = {profile.name: profile for profile in state.profiles.values()}
        if old == new or not {old, new} <= named.keys() or domain not in named[old].settings:
            return state
        if domain in named[new].settings:
            raise UniqueViolation
        row = {domain: named[old].settings[domain]}
        state = each(state, [old], lambda profile: _without(profile, domain))
        return each(state, [new], lambda profile: replace(profile, settings={**profile.settings, **row}))

    sql = f"""
        UPDATE {TABLES[domain]} SET profile_id = new.id FROM config_profiles old, config_profiles new
        WHERE profile_id = old.id AND old.name = %s AND new.name = %s
    """
    return Step(edit, sql, (old, new))


# ---- documents of one's own


def write_template(key: int, text: str) -> Step:
    sql = "INSERT INTO templates VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET text = excluded.text"
    return Step(lambda state: replace(state, templates={**state.templates, str(key): text}), sql, (key, text))


def delete_template(key: int) -> Step:
    def edit(state: State) -> State:
        kept = {other: text for other, text in state.templates.items() if other != str(key)}
        return replace(state, templates=kept)

    return Step(edit, "DELETE FROM templates WHERE id = %s", (key,))


def truncate_templates() -> Step:
    return Step(lambda state: replace(state, templates={}), "TRUNCATE templates")


def publish(document: Json | None) -> Step:
    given = None if document is None else json.dumps(document)
    return Step(lambda state: replace(state, given=document), "SELECT config_publish('given', %s)", (given,))


# ---- about the transaction


def sign(actor: str, note: str) -> Step:
    sql = "SELECT set_config('hotconfig.actor', %s, true), set_config('hotconfig.note', %s, true)"
    return Step(lambda state: replace(state, actor=actor or "postgres", note=note or None), sql, (actor, note))


def constrain(which: str, *, immediate: bool) -> Step:
    sql = f"SET CONSTRAINTS {which} {'IMMEDIATE' if immediate else 'DEFERRED'}"
    return Step(lambda state: replace(state, immediate=immediate), sql)
