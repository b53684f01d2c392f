"""How hotconfig's operations stand in a migration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation

from hotconfig._published import PublishDocument, UnpublishDocument
from hotconfig._shapes import Shape, Shapes
from hotconfig._watched import UnwatchTable, WatchTable


def _render(context: AutogenContext, operation: MigrateOperation) -> str:
    if isinstance(operation, PublishDocument):
        context.imports.add("from hotconfig import migrations")
    return code(operation, context.opts.get("alembic_module_prefix") or "op.")


for _operation in (WatchTable, UnwatchTable, PublishDocument, UnpublishDocument):
    renderers.dispatch_for(_operation)(_render)


def code(operation: MigrateOperation, prefix: str = "op.") -> str:
    """The call, over several lines if it has several shapes."""
    match operation:
        case PublishDocument():
            called = f"publish_document({operation.name!r}, {_expression(operation.shapes)}"
        case UnpublishDocument():
            called = f"unpublish_document({operation.name!r}"
        case WatchTable():
            called = f"watch_table({operation.table!r}, publishes={operation.publishes!r}"
            called += f", function={operation.function!r}"
            called += "" if operation.columns is None else f", columns={list(operation.columns)!r}"
        case UnwatchTable():
            called = f"unwatch_table({operation.table!r}, publishes={operation.publishes!r}"
        case _:
            raise TypeError(f"{operation} is no operation of hotconfig's")
    if isinstance(operation, WatchTable | UnwatchTable) and operation.table_schema is not None:
        called += f", table_schema={operation.table_schema!r}"
    return f"{prefix}{called}{'' if operation.schema is None else f', schema={operation.schema!r}'})"


def _expression(shapes: Shapes) -> str:
    if not isinstance(shapes, Mapping):
        return _call(shapes)
    pairs = "".join(f"    {key!r}: {_call(shape)},\n" for key, shape in shapes.items())
    return f"{{\n{pairs}}}"


def _call(shape: Shape) -> str:
    given = []
    for each in fields(shape):
        value = getattr(shape, each.name)
        if isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = list(value)
        if each.default is MISSING and each.default_factory is MISSING:
            given.append(repr(value))
        elif value and value != each.default:
            given.append(f"{each.name}={value!r}")
    return f"migrations.{type(shape).__name__}({', '.join(given)})"
