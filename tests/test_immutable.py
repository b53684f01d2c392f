"""What a snapshot may be made of: mutable models and containers are refused when the class is defined."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, SecretStr
from typing_extensions import TypeAliasType, TypedDict

from hotconfig.snapshot import Section, Snapshot

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


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
