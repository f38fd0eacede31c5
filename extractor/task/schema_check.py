"""What a schema must be to be taken: valid, of an object with properties, and with all that it refers to inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import jsonschema
from jsonschema import Draft202012Validator

from extractor.data import GROUNDS, UNGROUNDED, Json
from extractor.errors import SchemaError

_REFERENCES = ("$ref", "$dynamicRef")


def check_schema(schema: Json) -> None:
    """Raise SchemaError unless `schema` is a valid, self-contained schema of an object with properties."""
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping) or not schema["properties"]:
        raise SchemaError(
            'A schema describes an object: {"type": "object", "properties": {"手机号": {"type": "string"}}}'
        )
    if schema.get("type", "object") != "object":
        raise SchemaError(f'The schema\'s type must be "object", not {schema["type"]!r}.')
    try:
        Draft202012Validator.check_schema(cast(Json, schema))
    except jsonschema.SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "the top"
        raise SchemaError(f"Not a valid JSON Schema (draft 2020-12), at {where}: {error.message}") from error
    for sub in subschemas(schema):
        _check_keywords(sub, schema)


def subschemas(schema: Json) -> Iterator[Mapping[str, Json]]:
    """Every object inside the schema that may be a schema (a superset: annotations are looked at, too)."""
    if isinstance(schema, Mapping):
        yield schema
        for key, value in schema.items():
            if key not in ("enum", "const", "default", "examples"):
                yield from subschemas(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from subschemas(item)


def lookup(root: Mapping[str, Json], reference: str) -> Mapping[str, Json]:
    """The schema that a local reference leads to. Raises SchemaError where it leads to nothing."""
    target: Json = root
    for part in filter(None, reference.removeprefix("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, Mapping) or name not in target:
            raise SchemaError(f"{reference!r} points to nothing in the schema.")
        target = target[name]
    return target if isinstance(target, Mapping) else {}


def _check_keywords(sub: Mapping[str, Json], root: Mapping[str, Json]) -> None:
    for keyword in _REFERENCES:
        reference = sub.get(keyword)
        if isinstance(reference, str):
            if not reference.startswith("#"):
                raise SchemaError(
                    f"Remote reference {reference!r}: copy what it names under $defs; nothing is fetched."
                )
            lookup(root, reference)
    if isinstance(sub.get("x-ground"), str) and sub["x-ground"] not in GROUNDS:
        raise SchemaError(f"x-ground is {sub['x-ground']!r}; it must be one of {', '.join(GROUNDS)}.")
    if isinstance(sub.get("x-ungrounded"), str) and sub["x-ungrounded"] not in UNGROUNDED:
        raise SchemaError(f"x-ungrounded is {sub['x-ungrounded']!r}; it must be one of {', '.join(UNGROUNDED)}.")
