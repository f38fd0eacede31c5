"""The type of column that holds what a part of a JSON Schema accepts, for formats with typed columns.

Where that is not one type (two types, alternatives, anything goes) it is `json`: a column of JSON text holds all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from extractor.data import Json
from extractor.task.task import Schema, Task

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


def column_type(task: Task, schema: Json, depth: int = 0) -> ColumnType:
    """Return the type of column for the values that a part of a task's schema asks for, null apart."""
    sub = _only_branch(task, task.resolve(schema))
    if depth > DEEPEST:
        return JSON
    name = _name(sub)
    if name == "array":
        return (
            ColumnType("list", column_type(task, sub["items"], depth + 1))
            if isinstance(sub.get("items"), Mapping)
            else JSON
        )
    if name == "object":
        members = {name: column_type(task, each, depth + 1) for name, each in sub.get("properties", {}).items()}
        return ColumnType("object", members=members) if members else JSON
    return ColumnType(name) if name in SCALARS else JSON


def _only_branch(task: Task, schema: Schema) -> Schema:
    """Return the one alternative that is not null, where there is one."""
    for keyword in ("anyOf", "oneOf"):
        branches = [task.resolve(branch) for branch in schema.get(keyword, ())]
        left = [branch for branch in branches if branch.get("type") != "null"]
        if branches:
            return {**schema, **left[0]} if len(left) == 1 else {}
    return schema


def _name(schema: Schema) -> str:
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        left = [name for name in types if name != "null"]
        return str(left[0]) if len(left) == 1 else "json"
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    if values and all(isinstance(value, str | None) for value in values):
        return "string"
    return "object" if "properties" in schema else "json"
