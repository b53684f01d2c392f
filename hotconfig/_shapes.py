"""The common shapes of a document, so that nobody writes their SQL by hand.

A document is one shape, or an object with a shape for each of its keys. What is named leaves the table, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from psycopg.sql import SQL, Composable, Identifier, Literal

Equals: TypeAlias = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True)
class KeyValue:
    """A table of settings: `{"top_k": 5, "model": "small"}`.

    Attributes:
        table: its name.
        key: the column of the keys. One that is NULL or comes twice refuses the edit.
        value: the column of the values, jsonb or any other type.
        where: only rows whose columns have these values; None is NULL. Default: all rows.
        schema: of the table. Default: where the search_path finds it.
    """

    table: str
    key: str = "key"
    value: str = "value"
    where: Equals = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    @property
    def _published(self) -> tuple[str, ...]:
        return self.key, self.value

    def _aggregate(self) -> Composable:
        return SQL("pg_catalog.jsonb_object_agg({}, pg_catalog.to_jsonb({}))").format(
            _text(self.key), _column(self.value)
        )


@dataclass(frozen=True)
class RowsByKey:
    """Rows by a key: `{"blog": {"content": "...", "tone": "calm"}}`.

    Attributes:
        table: its name.
        key: as for `KeyValue`. It is no part of a row unless it is one of the columns.
        columns: what is published of each row.
        where: as for `KeyValue`.
        schema: as for `KeyValue`.
    """

    table: str
    key: str
    columns: Sequence[str]
    where: Equals = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    @property
    def _published(self) -> tuple[str, ...]:
        return self.key, *self.columns

    def _aggregate(self) -> Composable:
        return SQL("pg_catalog.jsonb_object_agg({}, {})").format(_text(self.key), _row(self.columns))


@dataclass(frozen=True)
class Rows:
    """A list of rows: `[{"type": "blog", "content": "..."}]`.

    Attributes:
        table: its name.
        columns: what is published of each row.
        order_by: the columns that say the order. Default: `columns`.
        where: as for `KeyValue`.
        schema: as for `KeyValue`.
    """

    table: str
    columns: Sequence[str]
    order_by: Sequence[str] = ()
    where: Equals = field(default_factory=dict, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)

    @property
    def _published(self) -> tuple[str, ...]:
        return *self.columns, *self.order_by

    def _aggregate(self) -> Composable:
        order = SQL(", ").join(map(_column, self.order_by or self.columns))
        return SQL("pg_catalog.jsonb_agg({} ORDER BY {})").format(_row(self.columns), order)


Shape: TypeAlias = KeyValue | Rows | RowsByKey
Shapes: TypeAlias = KeyValue | RowsByKey | Mapping[str, Shape]


def parts(shapes: Shapes) -> list[Shape]:
    return [shapes] if isinstance(shapes, KeyValue | RowsByKey) else list(shapes.values())


def watched(shapes: Shapes) -> dict[tuple[str | None, str], list[str]]:
    """Each table, with its schema, and the columns that matter."""
    found: dict[tuple[str | None, str], list[str]] = {}
    for part in parts(shapes):
        columns = found.setdefault((part.schema, part.table), [])
        columns += [each for each in dict.fromkeys([*part._published, *part.where]) if each not in columns]
    return found


def query(shapes: Shapes, schema: str) -> Composable:
    """What builds the document; `schema` is hotconfig's. Qualified, since a better match could take a call."""
    if isinstance(shapes, KeyValue | RowsByKey):
        return SQL("SELECT {}").format(_built(shapes, schema))
    pairs = [SQL("{}, {}").format(Literal(name), _built(part, schema)) for name, part in shapes.items()]
    return SQL("SELECT pg_catalog.jsonb_build_object({})").format(SQL(", ").join(pairs))


def check(shapes: Shapes) -> None:
    """Raises ValueError, with what is right, for a shape that cannot be published."""
    if isinstance(shapes, Rows):
        raise ValueError('a list is no document, which is an object: give it a key, {"rows": Rows(...)}')  # noqa: TRY004
    if not parts(shapes):
        raise ValueError("a document needs a shape")
    if isinstance(shapes, Mapping) and not {"", "version"}.isdisjoint(shapes):
        raise ValueError('"version" is reserved for the version that hotconfig gives, and "" is no key')
    for part in parts(shapes):
        columns = () if isinstance(part, KeyValue) else part.columns
        if isinstance(columns, str) or not (columns or isinstance(part, KeyValue)):
            raise ValueError(f"{part}: name the columns that are published, as a list")


def _built(part: Shape, schema: str) -> Composable:
    if isinstance(part, Rows):
        return SQL("(SELECT coalesce({}, '[]') {})").format(part._aggregate(), _from(part))
    # PostgreSQL alone would take the last one of two values for a key, whichever that is.
    return SQL(
        "(SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>) pg_catalog.count(DISTINCT {key})"
        " THEN {refuse}({table}, {column}) ELSE coalesce({aggregate}, '{{}}') END {from_})"
    ).format(
        key=_text(part.key),
        refuse=Identifier(schema, "config_refuse_key"),
        table=Literal(part.table),
        column=Literal(part.key),
        aggregate=part._aggregate(),
        from_=_from(part),
    )


def _from(part: Shape) -> Composable:
    table = Identifier(part.table) if part.schema is None else Identifier(part.schema, part.table)
    conditions = [
        SQL("{} IS NULL").format(_column(column))
        if value is None
        else SQL("{} OPERATOR(pg_catalog.=) {}").format(_column(column), Literal(value))
        for column, value in part.where.items()
    ]
    return SQL("FROM {} AS t WHERE {}").format(table, SQL(" AND ").join([SQL("true"), *conditions]))


def _row(columns: Sequence[str]) -> Composable:
    pairs = [SQL("{}, pg_catalog.to_jsonb({})").format(Literal(column), _column(column)) for column in columns]
    return SQL("pg_catalog.jsonb_build_object({})").format(SQL(", ").join(pairs))


def _text(column: str) -> Composable:
    return SQL("{}::pg_catalog.text").format(_column(column))


def _column(column: str) -> Composable:
    return SQL("t.{}").format(Identifier(column))
