"""Immutable all the way down: what a snapshot may be made of.

Annotations that admit something mutable are refused when a class is defined. What only a value can
show (what is in a `Mapping`, an `object`, an `Any`) is frozen when it is validated; such annotations
are called open here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
)
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, JsonValue
from typing_extensions import TypeVar, is_typeddict

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """The dict that a snapshot holds in a `Mapping`, an `object` or an `Any`: it refuses to change.

    A real dict, so that Pydantic, json, pickle and copy treat it as one; hashable if its values
    are. Changing it raises TypeError; `dict(this)` and `this.copy()` are plain dicts.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a snapshot does not change: copy this mapping with dict(...) first")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = _refuse
    setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # type: ignore[override]  # dict sets it to None
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Self], tuple[dict[K, V]]]:
        # The inherited one would fill an empty copy item by item, and be refused.
        return type(self), (dict(self),)


def open_fields(cls: type[BaseModel]) -> tuple[str, ...]:
    """The fields of `cls` whose annotation leaves open what their values hold.

    Raises TypeError for one that admits something mutable.
    """
    found = []
    for name, field in cls.model_fields.items():
        try:
            if _is_open(field.annotation, set()):
                found.append(name)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.{name}: {error}") from None
    return tuple(found)


def _is_open(annotation: Any, seen: set[object]) -> bool:
    if annotation is JsonValue:
        # It insists on list and dict: a tuple in it is warned of when it is dumped, and refused
        # when it is validated again.
        raise TypeError("JsonValue is made of lists and dicts: use object")
    if annotation in (Any, object) or isinstance(annotation, (str, typing.ForwardRef)):
        return True
    if supertype := getattr(annotation, "__supertype__", None):  # NewType
        return _is_open(supertype, seen)
    if isinstance(annotation, typing.TypeVar):
        return _any_open(annotation.__constraints__ or (annotation.__bound__ or object,), seen)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _is_open(args[0], seen)
    if origin in (Literal, type, Callable):
        return False
    kind = origin or annotation
    if hasattr(kind, "__value__") and not isinstance(kind, type):  # a type alias, perhaps of itself
        if kind in seen:
            return _any_open(args, seen)
        return _any_open((_value_of(kind), *args), seen | {kind})
    if not isinstance(kind, type):  # Union
        return _any_open(args, seen)
    # Pydantic validates an Iterable into an iterator that is used up by its first reader.
    _refuse_mutable(Iterator if kind is Iterable else kind, seen)
    return _any_open(args, seen) or inspect.isabstract(kind) or (kind is tuple and not args)


def _value_of(alias: Any) -> Any:
    """What a type alias stands for, with names that it had to quote resolved where that is possible."""
    holder = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    with contextlib.suppress(NameError):
        return typing.get_type_hints(holder, vars(sys.modules[alias.__module__]), include_extras=True)["value"]
    return alias.__value__


def _any_open(annotations: Iterable[Any], seen: set[object]) -> bool:
    # All of them are looked at, since each may be refused: any() of a generator would stop early.
    return True in [_is_open(each, seen) for each in annotations if each is not ...]


_INSTEAD: tuple[tuple[type, str], ...] = (
    (bytearray, "bytes"),
    (MutableSequence, "tuple[X, ...]"),
    (Iterator, "tuple[X, ...]"),
    (MutableSet, "frozenset[X]"),
    (MutableMapping, "Mapping[str, X]"),
)


def _refuse_mutable(kind: type, seen: set[object]) -> None:
    for mutable, instead in _INSTEAD:
        if issubclass(kind, mutable) and not is_typeddict(kind):
            raise TypeError(f"{kind.__name__} is mutable: use {instead}")
    if hasattr(kind, "_open_fields") or kind in seen:  # a Section looks after itself
        return
    annotations: Mapping[str, Any]
    if issubclass(kind, BaseModel):
        frozen = bool(kind.model_config.get("frozen"))
        annotations = {name: field.annotation for name, field in kind.model_fields.items()}
    elif dataclasses.is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_fields"):
        parameters = getattr(kind, "__dataclass_params__", None)
        frozen = parameters.frozen if parameters else not is_typeddict(kind)
        annotations = typing.get_type_hints(kind, include_extras=True)
    else:
        return
    if not frozen:
        raise TypeError(f"{kind.__name__} is mutable: derive it from hotconfig.Section")
    for name, annotation in annotations.items():
        if _is_open(annotation, seen | {kind}):
            raise TypeError(
                f"{kind.__name__}.{name} may hold something mutable: derive {kind.__name__} from "
                "hotconfig.Section, which freezes it"
            )


def frozen(value: object) -> object:
    """`value` with its mappings, sequences and sets, at any depth, made immutable."""
    if isinstance(value, Mapping):
        return FrozenDict({key: frozen(item) for key, item in value.items()})
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, MutableSequence) or type(value) is tuple:
        return tuple(map(frozen, value))
    return frozenset(value) if isinstance(value, MutableSet) else value
