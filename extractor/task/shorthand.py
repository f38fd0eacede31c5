"""A schema in one line, for entity types on the spot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from extractor.data import Json
from extractor.errors import SchemaError

_TYPES: Mapping[str, Mapping[str, Json]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
}


def schema_from_fields(spec: str) -> Mapping[str, Json]:
    """Make a schema of `"姓名, 年龄:integer, 标签:string[]"`: names, each with a type (string when none is given).

    Types: string, integer, number, boolean, date; `[]` behind one makes a list of it.
    """
    return schema_from_names(re.split(r"[,，、]", spec))


def schema_from_names(parts: Iterable[str]) -> Mapping[str, Json]:
    """Make a schema of names that are apart already: `["姓名", "年龄:integer"]`. Blank ones are left out."""
    properties: dict[str, Mapping[str, Json]] = {}
    for part in filter(None, map(str.strip, parts)):
        name, _, kind = (piece.strip() for piece in part.replace("：", ":").partition(":"))
        base = (kind or "string").removesuffix("[]")
        if not name or base not in _TYPES:
            raise SchemaError(f"{part!r} is no field. Write name or name:type, type one of {', '.join(_TYPES)}.")
        if name in properties:
            raise SchemaError(f"The field {name!r} is named twice.")
        item = _TYPES[base]
        properties[name] = {"type": "array", "items": item} if kind.endswith("[]") else item
    if not properties:
        raise SchemaError('No field is named. Example: --fields "姓名, 年龄:integer"')
    return {"title": "fields", "type": "object", "properties": properties, "additionalProperties": False}
