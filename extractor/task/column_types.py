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
MOST_SCALARS = 1000
"""Scalars in a column; definitions that name one another, each with many members, would go on to billions."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """`string`, `integer`, `number`, `boolean`, `list` (of `items`), `object` (with `members`) or `json`."""

    name: str
    items: ColumnType | None = None
    members: Mapping[str, ColumnType] = field(default_factory=dict)


JSON = ColumnType("json")


def column_types(task: Task) -> dict[str, ColumnType]:
    """Return the type of the values that each field of a task asks for, null apart."""
    columns = _Columns(task.compiled)
    return {field.name: columns.of(field.node.name)[0] for field in task.fields}


def normalizations(task: Task) -> dict[str, Normalization]:
    """Return what is asked for of the values of each field that is to be normalized (`x-normalize`)."""
    found: dict[str, Normalization] = {}
    for each in task.fields:
        kinds = {option.annotations.normalize for option in task.compiled.options(each.node)} - {None}
        if kind := next(iter(kinds), None):
            found[each.name] = kind
    return found


@dataclass(frozen=True)
class _Columns:
    """Finds the types of nodes, each with how many scalars it has."""

    schema: CompiledSchema
    known: dict[tuple[Name, int], tuple[ColumnType, int]] = field(default_factory=dict)

    def of(self, name: Name, depth: int = 0) -> tuple[ColumnType, int]:
        if (name, depth) not in self.known:
            options = [option for option in self.schema.options(self.schema[name]) if option.kinds]
            plain = depth <= DEEPEST and len(options) == 1 and len(options[0].kinds) == 1
            self.known[name, depth] = self._of(options[0], depth) if plain else (JSON, 1)
        return self.known[name, depth]

    def _of(self, node: SchemaNode, depth: int) -> tuple[ColumnType, int]:
        (kind,) = node.kinds
        if kind == "array" and node.items is not None and not node.prefix and not self.schema[node.items].is_anything:
            items, scalars = self.of(node.items, depth + 1)
            return ColumnType("list", items), scalars
        if kind == "object" and node.properties and not node.is_map:
            return self._object(node, depth)
        return (ColumnType(kind) if kind in SCALARS else JSON), 1

    def _object(self, node: SchemaNode, depth: int) -> tuple[ColumnType, int]:
        members: dict[str, ColumnType] = {}
        together = 0
        for name, sub in node.properties.items():
            members[name], scalars = self.of(sub, depth + 1)
            together += scalars
            if together > MOST_SCALARS:
                return JSON, 1
        return ColumnType("object", members=members), together
