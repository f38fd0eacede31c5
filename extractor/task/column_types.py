"""What kind of values a node of a schema lets through, for formats with typed columns.

Where that is not one kind (two types, alternatives, anything goes) it is `json`: a column of JSON text holds all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from extractor.data import Normalization
from extractor.task.schema_node import CompiledSchema, Name, SchemaNode
from extractor.task.task import Task

SCALARS = ("string", "integer", "number", "boolean")
DEEPEST = 8
"""How deep columns go; a schema may refer to itself."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """`string`, `integer`, `number`, `boolean`, `list` (of `items`), `object` (with `members`) or `json`."""

    name: str
    items: ColumnType | None = None
    members: Mapping[str, ColumnType] = field(default_factory=dict)


JSON = ColumnType("json")


def column_type(schema: CompiledSchema, name: Name, depth: int = 0) -> ColumnType:
    """Return the type of the values that a node asks for, null apart."""
    options = [option for option in schema.options(schema[name]) if option.kinds]
    if depth > DEEPEST or len(options) != 1:
        return JSON
    node = options[0]
    kind = node.kinds[0] if len(node.kinds) == 1 else ""
    if kind == "array":
        plain = node.items is not None and not node.prefix and not schema[node.items].is_anything
        return ColumnType("list", column_type(schema, node.items, depth + 1)) if plain and node.items else JSON
    if kind == "object":
        return _object(schema, node, depth)
    return ColumnType(kind) if kind in SCALARS else JSON


def normalizations(task: Task) -> dict[str, Normalization]:
    """Return what is asked for of the values of each field that is to be normalized (`x-normalize`)."""
    found: dict[str, Normalization] = {}
    for each in task.fields:
        kinds = {option.annotations.normalize for option in task.compiled.options(each.node)} - {None}
        if kind := next(iter(kinds), None):
            found[each.name] = kind
    return found


def _object(schema: CompiledSchema, node: SchemaNode, depth: int) -> ColumnType:
    if node.is_map or not node.properties:
        return JSON
    members = {name: column_type(schema, sub, depth + 1) for name, sub in node.properties.items()}
    return ColumnType("object", members=members)
