"""The schema of what a model is asked to write, for engines that take a JSON Schema.

Every property, in order, null where the text has none, and nothing else. What engines disagree about (annotations,
conditions, most formats, patterns beyond plain ones) is left to the validator, which has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extractor.data import Json
from extractor.task.task import Schema, Task

_DEEPEST = 16
_COPIED = ("type", "enum", "const", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")
_FORMATS = ("date", "date-time", "time")
_BEYOND = re.compile(r"\(\?|\\[bBAZzkKpP1-9]|[*+?}][?+]")


def answer_schema(task: Task) -> dict[str, Json]:
    """A self-contained schema: references are written out, down to a depth below which anything goes."""
    return _object(task, task.schema, 0)


def _object(task: Task, schema: Schema, depth: int) -> dict[str, Json]:
    properties: Mapping[str, Json] = schema.get("properties", {})
    return {
        "type": "object",
        "properties": {name: _nullable(_value(task, sub, depth + 1)) for name, sub in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    return {"anyOf": [schema, {"type": "null"}]}


def _value(task: Task, schema: Json, depth: int) -> dict[str, Json]:
    sub = task.resolve(schema)
    branches = (*sub.get("anyOf", ()), *sub.get("oneOf", ()))
    if depth > _DEEPEST:
        return {}
    if branches:
        own = {key: value for key, value in sub.items() if key not in ("anyOf", "oneOf")}
        return {"anyOf": [_value(task, {**own, **task.resolve(branch)}, depth + 1) for branch in branches]}
    if sub.get("properties"):
        return _object(task, sub, depth)
    return _plain(task, sub, depth)


def _plain(task: Task, sub: Schema, depth: int) -> dict[str, Json]:
    """The keywords that engines agree about; a value that names no type is a string, as everywhere here."""
    copied = {key: sub[key] for key in _COPIED if key in sub}
    if not {"type", "enum", "const"} & copied.keys():
        copied["type"] = "array" if "items" in sub else "string"
    if "items" in sub:
        copied["items"] = _value(task, sub["items"], depth + 1)
    if sub.get("format") in _FORMATS:
        copied["format"] = sub["format"]
    if isinstance(sub.get("pattern"), str) and not _BEYOND.search(sub["pattern"]):
        copied["pattern"] = sub["pattern"]
    return copied
