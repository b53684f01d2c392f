"""A snapshot does not change, and says where it differs from another."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Literal, TypeVar

import pytest
from pydantic import SecretStr, ValidationError

from hotconfig._immutable import FrozenDict
from hotconfig.snapshot import Change, Section, Snapshot, changed_paths, split_path

T = TypeVar("T")


class Server(Section):
    host: str
    port: int = 5432
    tags: tuple[str, ...] = ()


class Colour(Enum):
    RED = "red.ish"


class Talker(Snapshot):
    name: str
    server: Server
    standby: Server | None = None
    servers: Mapping[str, Server] = {}
    limits: Mapping[str, Mapping[str, int]] = {}
    colours: Mapping[Colour, int] = {}
    anything: Any = None
    thing: object = None
    password: SecretStr = SecretStr("")
    chain: tuple[Server, ...] = ()


def talker(**values: object) -> Talker:
    return Talker.model_validate({"name": "a", "server": {"host": "h"}} | values)


# ---- frozen


def test_it_does_not_change() -> None:
    """Neither a snapshot nor a section of it can be assigned to."""
    snapshot = talker()
    with pytest.raises(ValidationError, match="frozen"):
        snapshot.name = "b"
    with pytest.raises(ValidationError, match="frozen"):
        snapshot.server.host = "b"


def test_unknown_fields_are_ignored() -> None:
    """A newer database does not break an older process, at any depth."""
    assert talker(new=1, server={"host": "h", "new": 2}) == talker()


@pytest.mark.parametrize("field", ["anything", "thing"])
def test_values_of_open_fields_are_frozen(field: str) -> None:
    """What is in an Any or an object is immutable however deep it lies."""
    value = {"a": [1, {"b": [2]}], "s": {3}, "q": deque([4]), "y": bytearray(b"5"), "t": ([6],)}
    frozen = getattr(talker(**{field: value}), field)
    assert frozen == {"a": (1, {"b": (2,)}), "s": {3}, "q": (4,), "y": b"5", "t": ((6,),)}
    assert type(frozen) is type(frozen["a"][1]) is FrozenDict
    hash(frozen)


def test_values_of_mappings_are_frozen() -> None:
    """A Mapping of mappings holds frozen ones, also one that came from a field's default."""
    assert type(talker(limits={"a": {"b": 1}}).limits["a"]) is FrozenDict
    assert type(talker().limits) is FrozenDict


def test_abstract_collections_are_frozen() -> None:
    """Sequence, Set and Mapping give tuple, frozenset and a frozen dict."""

    class Abstract(Snapshot):
        a: Sequence[int] = ()
        b: AbstractSet[int] = frozenset()
        c: tuple[Mapping[str, Sequence[int]], ...] = ()
        d: tuple = ()  # type: ignore[type-arg]

    snapshot = Abstract.model_validate({"a": [1], "b": [2], "c": [{"x": [3]}], "d": [[4]]})
    assert (snapshot.a, snapshot.b, snapshot.c, snapshot.d) == ((1,), {2}, ({"x": (3,)},), ((4,),))
    assert isinstance(snapshot.b, frozenset)
    hash(snapshot)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 1),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({"a": 1}),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("b", 1),
        lambda d: d.update(a=2),
    ],
)
def test_a_frozen_dict_does_not_change(change: Any) -> None:
    """Every way to change a frozen dict raises TypeError."""
    frozen = FrozenDict(a=1)
    with pytest.raises(TypeError, match="does not change"):
        change(frozen)
    assert frozen == {"a": 1}


def test_dumps_like_any_model() -> None:
    """model_dump and JSON work without a warning, and what they give validates to an equal snapshot."""
    snapshot = talker(
        anything={"a": [1, {"b": None}]},
        thing=[1, [2]],
        limits={"a": {"b": 1}},
        servers={"x": {"host": "h", "tags": ["t"]}},
    )
    assert Talker.model_validate(snapshot.model_dump()) == snapshot
    assert Talker.model_validate_json(snapshot.model_dump_json()) == snapshot
    assert json.loads(json.dumps(snapshot.anything)) == {"a": [1, {"b": None}]}
    assert Talker.model_json_schema(mode="serialization")["properties"]["limits"]["type"] == "object"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_equal_and_frozen(copied: Any) -> None:
    """A snapshot that was copied or pickled equals the original and is as immutable."""
    snapshot = talker(anything={"a": [1]}, limits={"a": {"b": 1}})
    again = copied(snapshot)
    assert again == snapshot
    assert hash(again) == hash(snapshot)
    assert type(again.anything) is type(again.limits["a"]) is FrozenDict


def test_snapshots_compare() -> None:
    """Equal contents are equal, another value or version is not."""
    assert talker() == talker()
    assert talker() != talker(name="b")
    assert talker() != talker(version=2)


def test_errors_hide_the_input() -> None:
    """A validation error shows the field and its rule, not what was put there."""
    with pytest.raises(ValidationError) as caught:
        talker(server={"host": "h", "port": "s3cret"}, password=["s3cret"])
    assert "server.port" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        Talker.model_validate_json('{"name": "s3cret')
    assert "s3cret" not in str(caught.value)


# ---- where two differ


def paths(old: dict[str, object], new: dict[str, object]) -> tuple[str, ...]:
    return changed_paths(talker(**old), talker(**new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, ()),
        ({"version": 1}, {"version": 2}, ()),
        ({}, {"name": "b"}, ("name",)),
        ({}, {"server": {"host": "i", "port": 1}, "name": "b"}, ("name", "server.host", "server.port")),
        ({}, {"standby": {"host": "h"}}, ("standby",)),
        ({"standby": {"host": "h"}}, {}, ("standby",)),
        ({"standby": {"host": "h"}}, {"standby": {"host": "i"}}, ("standby.host",)),
        ({}, {"server": {"host": "h", "tags": ["a"]}}, ("server.tags",)),
        ({}, {"servers": {"x": {"host": "h"}}}, ("servers.x",)),
        ({"servers": {"x": {"host": "h"}}}, {}, ("servers.x",)),
        ({"limits": {"a": {"b": 1}}}, {"limits": {"a": {"b": 2, "c": 3}}}, ("limits.a.b", "limits.a.c")),
        ({}, {"limits": {"x.y": {}}}, ('limits."x.y"',)),
        ({}, {"limits": {'say "hi"': {}}}, ('limits."say ""hi"""',)),
        ({}, {"limits": {"": {}}}, ('limits.""',)),
        ({}, {"limits": {"two words": {}}}, ("limits.two words",)),
        ({}, {"colours": {"red.ish": 1}}, ('colours."red.ish"',)),
        ({"anything": {"a": [1, 2]}}, {"anything": {"a": [1, 3]}}, ("anything.a",)),
        ({"anything": {"a": 1}}, {"anything": [1]}, ("anything",)),
        ({"anything": 1}, {"anything": True}, ("anything",)),
        ({"anything": [1]}, {"anything": [True]}, ("anything",)),
        ({"anything": [{"a": 1}]}, {"anything": [{"a": True}]}, ("anything",)),
        ({"anything": [{"a": [1]}]}, {"anything": [{"a": [1]}]}, ()),
        ({"chain": [{"host": "h"}]}, {"chain": [{"host": "h"}]}, ()),
        ({"chain": [{"host": "h"}]}, {"chain": [{"host": "i"}]}, ("chain",)),
        ({"chain": [{"host": "h"}]}, {"chain": [{"host": "h"}, {"host": "h"}]}, ("chain",)),
        ({"anything": float("nan")}, {"anything": 1.0}, ("anything",)),
    ],
)
def test_paths(old: dict[str, object], new: dict[str, object], expected: tuple[str, ...]) -> None:
    """A path leads to the leaf that differs, in both directions."""
    assert paths(old, new) == expected
    assert paths(new, old) == expected


def test_secrets_are_compared_and_not_shown() -> None:
    """A changed secret is a path, and appears in no path, repr or string."""
    old, new = talker(password="s3cret-1"), talker(password="s3cret-2")
    change = Change(old, new, changed_paths(old, new))
    assert change.paths == ("password",)
    assert "s3cret" not in repr(change) + str(old) + repr(new)
    assert changed_paths(new, talker(password="s3cret-2")) == ()


def test_a_union_that_changes_its_member_is_one_path() -> None:
    """When a section becomes another kind of section, its own path is named."""

    class Post(Section):
        kind: Literal["post"]
        code: int = 1

    class Mail(Section):
        kind: Literal["mail"]
        code: int = 1

    class Mine(Snapshot):
        way: Post | Mail

    post, mail = (Mine.model_validate({"way": {"kind": kind}}) for kind in ("post", "mail"))
    assert changed_paths(post, mail) == ("way",)


def test_a_change_is_frozen_and_picklable() -> None:
    """A Change cannot be assigned to and survives pickling."""
    change = Change(talker(), talker(name="b"), ("name",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        change.paths = ()  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(change)) == change
    assert repr(change) == "Change(paths=('name',))"


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ["a"]),
        ("a.b", ["a", "b"]),
        ('a."x.y".b', ["a", "x.y", "b"]),
        ('a."say ""hi"""', ["a", 'say "hi"']),
        ('a.""', ["a", ""]),
    ],
)
def test_a_path_is_read_as_it_is_written(path: str, steps: list[str]) -> None:
    """Its steps come back, quoted or not."""
    assert split_path(path) == steps


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", 'a."b', 'a."b"c', '"a"', "a b."])
def test_what_is_no_path(path: str) -> None:
    """It is refused, with a word on how paths are written."""
    with pytest.raises(ValueError, match="is no path: field names joined by dots"):
        split_path(path)
