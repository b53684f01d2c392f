"""What a reader holds: immutable all the way down, comparable, and able to say where two of them differ."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, SecretStr, ValidationError
from typing_extensions import TypeAliasType, TypedDict

from hotconfig._immutable import FrozenDict
from hotconfig.snapshot import Change, Section, Snapshot, changed_paths

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


# ---- refused when the class is defined


class Loose(BaseModel):
    x: int = 0


class FrozenButDeep(BaseModel):
    model_config = ConfigDict(frozen=True)
    inner: Loose


class FrozenButOpen(BaseModel):
    model_config = ConfigDict(frozen=True)
    data: Mapping[str, int]


class FrozenRoot(RootModel[list[int]]):
    model_config = ConfigDict(frozen=True)


@dataclasses.dataclass
class LooseData:
    x: int = 0


@dataclasses.dataclass(frozen=True)
class DeepData:
    x: tuple[list[int], ...] = ()


class Typed(TypedDict):
    x: int


class Named(NamedTuple):
    x: set[int]


Alias = TypeAliasType("Alias", list[int] | None)
Recursive = TypeAliasType("Recursive", "dict[str, Recursive] | int")
Nested = TypeAliasType("Nested", "tuple[Nested, ...] | int")
Generic1 = TypeAliasType("Generic1", tuple[T, ...], type_params=(T,))
Fresh = NewType("Fresh", list[int])
Bound = TypeVar("Bound", bound=Loose)


@pytest.mark.parametrize(
    ("annotation", "culprit", "fix"),
    [
        (list[int], "list", "tuple[X, ...]"),
        (list, "list", "tuple[X, ...]"),
        (set[int], "set", "frozenset[X]"),
        (dict[str, int], "dict", "Mapping[str, X]"),
        (deque[int], "deque", "tuple[X, ...]"),
        (Iterable[int], "Iterator", "tuple[X, ...]"),
        (Optional[list[int]], "list", "tuple[X, ...]"),  # noqa: UP045
        (int | list[int], "list", "tuple[X, ...]"),
        (tuple[int, list[int]], "list", "tuple[X, ...]"),
        (tuple[tuple[set[int], ...], ...], "set", "frozenset[X]"),
        (Mapping[str, list[int]], "list", "tuple[X, ...]"),
        (Any | list[int], "list", "tuple[X, ...]"),
        (Annotated[list[int], Field(max_length=1)], "list", "tuple[X, ...]"),
        (tuple[Annotated[list[int], "note"], ...], "list", "tuple[X, ...]"),
        (Fresh, "list", "tuple[X, ...]"),
        (Alias, "list", "tuple[X, ...]"),
        (Recursive, "dict", "Mapping[str, X]"),
        (Generic1[set[int]], "set", "frozenset[X]"),
        (JsonValue, "JsonValue", "object"),
        (Mapping[str, JsonValue], "JsonValue", "object"),
        (Loose, "Loose", "hotconfig.Section"),
        (Loose | None, "Loose", "hotconfig.Section"),
        (Mapping[str, tuple[Loose, ...]], "Loose", "hotconfig.Section"),
        (FrozenButDeep, "Loose", "hotconfig.Section"),
        (FrozenButOpen, "FrozenButOpen.data", "hotconfig.Section"),
        (FrozenRoot, "list", "tuple[X, ...]"),
        (LooseData, "LooseData", "hotconfig.Section"),
        (DeepData, "list", "tuple[X, ...]"),
        (Typed, "Typed", "hotconfig.Section"),
        (Named, "set", "frozenset[X]"),
    ],
)
def test_mutable_annotations_are_refused(annotation: Any, culprit: str, fix: str) -> None:
    """Defining a class with something mutable in it raises TypeError, with class, field and fix."""
    with pytest.raises(TypeError) as caught:
        type("Mine", (Snapshot,), {"__annotations__": {"field": annotation}, "__module__": __name__})
    message = str(caught.value)
    assert message.startswith("Mine.field: ")
    assert culprit in message
    assert fix in message


def test_bytearray_is_refused() -> None:
    """So is a bytearray, where Pydantic does not refuse it already."""
    with pytest.raises(TypeError, match=r"Mine\.field: bytearray is mutable: use bytes"):

        class Mine(Snapshot):
            model_config = ConfigDict(arbitrary_types_allowed=True)
            field: bytearray


def test_sections_are_looked_at_too() -> None:
    """A section with a mutable field is refused on its own, not only inside a snapshot."""
    with pytest.raises(TypeError, match=r"Part\.names: list is mutable: use tuple\[X, \.\.\.\]"):

        class Part(Section):
            names: list[str]


def test_inherited_and_generic_fields_are_looked_at() -> None:
    """A type parameter is refused when it is filled with something mutable, or bound to it."""

    class Page(Section, Generic[T]):
        items: tuple[T, ...]

    class Good(Snapshot):
        page: Page[int]

    assert Good.model_validate({"page": {"items": [1]}}).page.items == (1,)
    assert Page.model_validate({"items": [[1]]}).items == ((1,),)
    with pytest.raises(TypeError, match="list is mutable"):
        Page[list[int]]
    with pytest.raises(TypeError, match="Loose is mutable"):

        class Bad(Section, Generic[Bound]):
            item: Bound


class Tree(Section):
    label: str
    children: tuple[Tree, ...] = ()
    later: Later | None = None


def test_recursive_models_are_fine() -> None:
    """A section may contain itself, and one that is defined after it."""

    class Forest(Snapshot):
        tree: Tree

    tree = {"label": "a", "children": [{"label": "b"}], "later": {"data": {"x": [1]}}}
    forest = Forest.model_validate({"tree": tree})
    assert forest.tree.children[0].label == "b"
    assert forest.tree.later is not None
    assert forest.tree.later.data == {"x": (1,)}


class Later(Section):
    data: Mapping[str, object] = {}


class Early(Section):
    late: Late


class Late(BaseModel):
    x: int = 0


def test_a_class_defined_later_is_looked_at_when_first_validated() -> None:
    """What could not be seen at the definition is refused at the first validation."""
    with pytest.raises(TypeError, match=r"Early\.late: Late is mutable: derive it from hotconfig\.Section"):
        Early.model_validate({"late": {}})


def test_immutable_annotations_are_accepted() -> None:
    """What cannot change is not refused: among others frozen models, enums, literals, types, callables."""

    class Frozen(BaseModel):
        model_config = ConfigDict(frozen=True)
        x: tuple[int, ...] = ()

    @dataclasses.dataclass(frozen=True)
    class FrozenData:
        x: int = 0

    class Fine(Snapshot):
        a: Frozen = Frozen()
        b: FrozenData = FrozenData()
        c: Colour = Colour.RED
        d: Literal["x"] = "x"
        e: frozenset[int] = frozenset()
        f: type[int] = int
        g: SecretStr | bytes | None = None
        h: Annotated[int, Field(ge=0)] = 0
        i: Generic1[int] = ()
        j: Nested = ()

    assert Fine().version == 0
    hash(Fine())


@pytest.mark.parametrize(
    ("config", "fix"),
    [(ConfigDict(frozen=False), "remove frozen=False"), (ConfigDict(extra="allow"), "declare fields")],
)
def test_what_makes_it_mutable_is_refused(config: ConfigDict, fix: str) -> None:
    """A subclass cannot thaw itself, nor keep fields that nobody declared."""
    with pytest.raises(TypeError, match=fix):
        type("Mine", (Section,), {"model_config": config, "__module__": __name__})


@pytest.mark.parametrize("annotation", [str, int | None, Annotated[int, Field(ge=1)]])
def test_version_is_reserved(annotation: Any) -> None:
    """A snapshot cannot define a field `version` of its own; a section can."""
    namespace = {"__annotations__": {"version": annotation}, "__module__": __name__}
    with pytest.raises(TypeError, match=r"Mine\.version is reserved by hotconfig"):
        type("Mine", (Snapshot,), namespace)
    type("Part", (Section,), namespace)


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
