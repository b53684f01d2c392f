"""What a reader holds: a `Snapshot` made of `Section`s, and the `Change` from one to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from pydantic import BaseModel, ConfigDict, model_validator
from typing_extensions import TypeVar

from hotconfig._immutable import frozen, open_fields

if TYPE_CHECKING:
    from hotconfig.profile import ProfileConfig

__all__ = ["Change", "S", "Section", "Snapshot", "changed_paths"]


class Section(BaseModel):
    """The base of every model nested in a snapshot: frozen, and unknown fields are ignored.

    Pydantic's configuration does not reach nested models, hence a base class. Validation errors do
    not show the input, which may be a secret. Sequences are tuples, mappings are read-only.

    Defining a subclass raises TypeError, with the fix, if it is not frozen, keeps unknown fields, or
    has a field that admits a mutable model or container at any depth. A class that names another
    one defined further down is looked at again when it is first validated.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Fields whose values are frozen by validation; None while a forward reference is unresolved.
    _open_fields: ClassVar[tuple[str, ...] | None] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.model_config.get("frozen"):
            raise TypeError(f"{cls.__name__}: a snapshot does not change: remove frozen=False")
        if cls.model_config.get("extra") == "allow":
            raise TypeError(f"{cls.__name__}: extra='allow' keeps values unchecked: declare fields")
        fields = open_fields(cls)
        cls._open_fields = fields if cls.__pydantic_complete__ else None

    @model_validator(mode="after")
    def _freeze_open_fields(self) -> Self:
        cls = type(self)
        if cls._open_fields is None:
            cls._open_fields = open_fields(cls)
        for name in cls._open_fields:
            vars(self)[name] = frozen(vars(self)[name])  # past __setattr__, which refuses
        return self


class Snapshot(Section):
    """One committed version of a document: derive from it to give yours a type.

        class Voice(hotconfig.Section):
            name: str
            speed: float = 1.0

        class Talker(hotconfig.Snapshot):
            voice: Voice
            greetings: tuple[str, ...] = ()

        client = hotconfig.Client(model=Talker, document="talker")

    Frozen, hashable, picklable, comparable. `version` belongs to hotconfig: defining a field of that
    name raises TypeError.

    Attributes:
        version: the version that last changed this document; 0 if it was never published.
    """

    version: int = 0

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        version = cls.model_fields["version"]
        if (version.annotation, version.default, version.metadata) != (int, 0, []):
            raise TypeError(f"{cls.__name__}.version is reserved by hotconfig: rename the field")


# The default is a string because ProfileConfig is itself a Snapshot.
S = TypeVar("S", bound=Snapshot, default="ProfileConfig")
"""The model of a `Client`, a `Change` or `Changes`; `ProfileConfig`, unless another one is given."""


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """A step from one snapshot to another, as a subscriber gets it.

    `repr()` shows the paths only, never a value.

    Attributes:
        old: what this subscriber was given last.
        new: the newest snapshot.
        paths: where they differ, as `hotconfig.snapshot.changed_paths` says.
    """

    old: S = field(repr=False)
    new: S = field(repr=False)
    paths: tuple[str, ...]


PLAIN = frozenset({bool, int, float, str, type(None)})


def changed_paths(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    """The sorted leaf paths at which two snapshots differ; `version` does not count.

    A path is field names joined by dots. The keys of a mapping are steps too, in double quotes (with
    a quote doubled) when they are empty or hold a dot or a quote: `servers."eu.west".port`. A
    sequence is one value. What is on one side only (a key that was added, a section that was None)
    or changed its type is named by its own path, without what is below it.
    """
    both = _fields(old), _fields(new)
    return tuple(sorted(path for path in _below(*both, "") if path != "version"))


def _fields(section: Section) -> dict[str, object]:
    values = section.__dict__
    return {name: values[name] for name in type(section).model_fields}


def _leaves(old: object, new: object, path: str) -> Iterator[str]:
    if isinstance(old, Section) and isinstance(new, Section) and type(old) is type(new):
        yield from _below(_fields(old), _fields(new), path)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        was, is_ = ({_step(key): value for key, value in each.items()} for each in (old, new))
        yield from _below(was, is_, path)
    elif not _same(old, new):
        yield path


def _below(old: Mapping[str, object], new: Mapping[str, object], path: str) -> Iterator[str]:
    for step in old.keys() | new.keys():
        below = f"{path}.{step}" if path else step
        if step not in old or step not in new:
            yield below
            continue
        was, is_ = old[step], new[step]
        # Most are the same, and of a type that is quickly compared.
        if was is is_ or (type(was) is type(is_) and type(was) in PLAIN and was == is_):
            continue
        yield from _leaves(was, is_, below)


def _step(key: object) -> str:
    text = str(key.value if isinstance(key, Enum) else key)
    return text if text and not set(text) & {".", '"'} else '"' + text.replace('"', '""') + '"'


def join_path(steps: Iterable[str]) -> str:
    """The path of these steps, quoted where it is necessary."""
    return ".".join(map(_step, steps))


def split_path(path: str) -> list[str]:
    """The steps of a path. Raises ValueError if it is none."""
    steps = re.findall(r'(?:^|\.)(?:"((?:[^"]|"")*)"|([^."]+))', path)
    names = [quoted.replace('""', '"') or plain for quoted, plain in steps]
    if not names or join_path(names) != path:
        raise ValueError(f"{path!r} is no path: field names joined by dots, a key with a dot in double quotes")
    return names


def _same(old: object, new: object) -> bool:
    # Python's 1 == True == 1.0 are three values in a document.
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, (Section, Mapping)):
        return next(_leaves(old, new, ""), None) is None
    return old == new
