"""The common shapes of a document, so that nobody writes their SQL by hand.

A document is one shape, or an object with a shape for each of its keys. What is named leaves the table, and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from psycopg.sql import SQL, Composable, Identifier, Literal

from hotconfig._shipped import split

Where: TypeAlias = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True)
class KeyValue:
    """A table of settings: `{"top_k": 5, "model": "small"}`.

    Attributes:
        table: its name, or `schema.name`.
        key: the column of the keys. One that is NULL or comes twice refuses the edit. Several columns make an object in
            an object: `("tenant", "name")` is `{"acme": {"top_k": 5}}`. Default: `key`.
        value: the column of the values, jsonb or any other type. Default: `value`.
        where: only rows whose columns have these values; None is NULL. A type that has no literal here, such as a
            time, is written as text. Default: all rows.
        schema: of the table, which may then have a dot in its name. Default: where the search_path finds it.
    """

    table: str
    key: str | Sequence[str] = "key"
    value: str = "value"
    where: Where = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _place(self)


@dataclass(frozen=True)
class RowsByKey:
    """Rows by a key: `{"blog": {"content": "...", "tone": "calm"}}`.

    Attributes:
        table: as for `KeyValue`.
        key: as for `KeyValue`, without a default. It is no part of a row unless it is one of the columns.
        columns: what is published of each row.
        where: as for `KeyValue`.
        schema: as for `KeyValue`.
    """

    table: str
    key: str | Sequence[str]
    columns: Sequence[str]
    where: Where = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _place(self)


@dataclass(frozen=True)
class Rows:
    """A list of rows: `[{"type": "blog", "content": "..."}]`.

    Attributes:
        table: as for `KeyValue`.
        columns: what is published of each row.
        order_by: the columns that say the order; rows that they leave equal are ordered by what is published.
        where: as for `KeyValue`.
        schema: as for `KeyValue`.
    """

    table: str
    columns: Sequence[str]
    order_by: Sequence[str] = ()
    where: Where = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _place(self)


Shape: TypeAlias = KeyValue | Rows | RowsByKey
Shapes: TypeAlias = KeyValue | RowsByKey | Mapping[str, Shape]


def _place(shape: Shape) -> None:
    if shape.schema is None and isinstance(shape.table, str):
        schema, table = split(shape.table)
        object.__setattr__(shape, "schema", schema)
        object.__setattr__(shape, "table", table)


PAIRS = 50  # as many as fit into a call: a function has 100 arguments at most


def parts(shapes: Shapes) -> list[Shape]:
    return [shapes] if isinstance(shapes, KeyValue | RowsByKey) else [shape for _, shape in sorted(shapes.items())]


def keys(shape: KeyValue | RowsByKey) -> list[str]:
    """The columns of its key, from the outermost object inwards."""
    return [shape.key] if isinstance(shape.key, str) else [*shape.key]


def matters(shape: Shape) -> list[str]:
    """The columns that a shape reads."""
    match shape:
        case KeyValue():
            named = [*keys(shape), shape.value]
        case RowsByKey():
            named = [*keys(shape), *shape.columns]
        case _:
            named = [*shape.columns, *shape.order_by]
    return [*dict.fromkeys([*named, *shape.where])]


def check(shapes: object) -> None:
    """Raises ValueError, with what is right, for what cannot be published."""
    if isinstance(shapes, Rows):
        raise ValueError('a list is no document, which is an object: give it a key, {"rows": Rows(...)}')  # noqa: TRY004
    found = list(shapes.values()) if isinstance(shapes, Mapping) else [shapes]
    if not found:
        raise ValueError("a document needs a shape")
    if isinstance(shapes, Mapping) and not {"", "version"}.isdisjoint(shapes):
        raise ValueError('"version" is reserved for the version that hotconfig gives, and "" is no key')
    for shape in found:
        if not isinstance(shape, KeyValue | Rows | RowsByKey):
            raise ValueError(f"{shape!r} is no shape: these are KeyValue, Rows and RowsByKey")  # noqa: TRY004
        for name, columns in _lists(shape):
            if isinstance(columns, str):
                raise ValueError(f"{shape.table}: {name}={columns!r} is no list of columns")  # noqa: TRY004
            if name == "columns" and not columns:
                raise ValueError(f"{shape.table}: name the columns that are published")
        if not isinstance(shape, Rows) and not shape.key:
            raise ValueError(f"{shape.table}: name the column of the key")
        for column, value in shape.where.items():
            if type(value) not in (str, int, float, bool, type(None)) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(
                    f"{shape.table}: where {column} is {value!r}: write a text, a number, a boolean or None"
                )


def _lists(shape: Shape) -> Iterator[tuple[str, object]]:
    if not isinstance(shape, KeyValue):
        yield "columns", shape.columns
    if isinstance(shape, Rows):
        yield "order_by", shape.order_by


# ---- SQL. Names are qualified, since a better match somewhere else could take a call.


def expression(shapes: Shapes, schema: str) -> list[str]:
    """What builds the document, in pieces: between each two goes the table of one of `references()`."""
    if isinstance(shapes, KeyValue | RowsByKey):
        return _built(shapes, schema)
    pieces = ["'{}'::pg_catalog.jsonb"]
    for n, (key, shape) in enumerate(sorted(shapes.items())):
        start = " || pg_catalog.jsonb_build_object(" if n % PAIRS == 0 else ", "
        end = ")" if n % PAIRS == PAIRS - 1 or n == len(shapes) - 1 else ""
        first, *others, last = _built(shape, schema)
        pieces = [*pieces[:-1], f"{pieces[-1]}{start}{Literal(key).as_string()}, {first}", *others, last + end]
    return pieces


def references(shapes: Shapes) -> list[Shape]:
    """The shapes whose tables go between the pieces of the expression, each as often as it reads its table."""
    return [shape for shape in parts(shapes) for _ in _built(shape, "")[1:]]


def _built(shape: Shape, schema: str) -> list[str]:
    conditions = _conditions(shape)
    end = SQL(" AS t WHERE {})").format(conditions).as_string()
    if isinstance(shape, Rows):
        row = _row(shape.columns)
        order = SQL(", ").join([*map(_column, shape.order_by), row])
        aggregate = SQL("(SELECT coalesce(pg_catalog.jsonb_agg({} ORDER BY {}), '[]') FROM ONLY ").format(row, order)
        return [aggregate.as_string(), end]
    columns = keys(shape)
    texts = [SQL("t.{}::pg_catalog.text").format(Identifier(column)) for column in columns]
    given = SQL(" AND ").join(SQL("{} IS NOT NULL").format(_column(column)) for column in columns)
    value = (
        SQL("pg_catalog.to_jsonb({})").format(_column(shape.value))
        if isinstance(shape, KeyValue)
        else _row(shape.columns)
    )
    twice = SQL(
        "CASE WHEN (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>)"
        " pg_catalog.count(DISTINCT ROW({texts})) FILTER (WHERE {given}) FROM ONLY "
    ).format(texts=SQL(", ").join(texts), given=given)
    which = SQL(
        " AS t WHERE {conditions}) THEN {refuse}({table}, {columns},"
        " (SELECT CASE WHEN {given} THEN pg_catalog.concat_ws(', ', {texts}) END FROM ONLY "
    ).format(
        conditions=conditions,
        refuse=Identifier(schema, "config_refuse_key"),
        table=Literal(shape.table),
        columns=Literal(" and ".join(columns)),
        given=given,
        texts=SQL(", ").join(texts),
    )
    # From the innermost object outwards: rows of the keys around it, and of what they are the keys of.
    names = [Identifier(f"key{n}") for n in range(len(columns))]
    rows = SQL("SELECT {}, {} AS value FROM ONLY ").format(
        SQL(", ").join(SQL("{} AS {}").format(*each) for each in zip(texts, names, strict=True)), value
    )
    around = SQL(" AS t WHERE {} AND {}").format(conditions, given)
    while names:
        *outer, key = names
        objects = SQL("pg_catalog.jsonb_object_agg({}, value) AS value FROM (").format(key)
        rows = SQL("SELECT {}{}{}").format(SQL("").join(SQL("{}, ").format(each) for each in outer), objects, rows)
        grouped = SQL(" GROUP BY {}").format(SQL(", ").join(outer)) if outer else SQL("")
        around = SQL("{}) AS hotconfig_row{}").format(around, grouped)
        names = outer
    start = SQL(
        " AS t WHERE {} GROUP BY 1, {} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 ORDER BY 1 LIMIT 1))"
        " ELSE coalesce(({}"
    ).format(conditions, SQL(", ").join(texts), rows)
    return [twice.as_string(), which.as_string(), start.as_string(), SQL("{}), '{{}}') END").format(around).as_string()]


def _conditions(shape: Shape) -> Composable:
    conditions = [
        SQL("{} IS NULL").format(_column(column))
        if value is None
        else SQL("{} OPERATOR(pg_catalog.=) {}").format(_column(column), Literal(value))
        for column, value in shape.where.items()
    ]
    return SQL(" AND ").join([SQL("true"), *conditions])


def _row(columns: Sequence[str]) -> Composable:
    """One object; a call of jsonb_build_object() would have too few arguments for a wide table."""
    named = SQL(", ").join(map(_column, columns))
    return SQL("(SELECT pg_catalog.to_jsonb(hotconfig_row) FROM (SELECT {}) AS hotconfig_row)").format(named)


def _column(column: str) -> Composable:
    return SQL("t.{}").format(Identifier(column))
