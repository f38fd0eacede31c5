"""Sensitive values (`x-sensitive`) are replaced by `***`, for logs, reports and `--redact`.

What is below a sensitive property is sensitive as well. Places stay: they name ranges of the document, not its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from extractor.data import Json, Record
from extractor.task.task import Schema, Task

MASK = "***"
_DEEPEST_LIST = 16


def redact(record: Record, task: Task) -> Record:
    """The record without its sensitive values, in data, in conflicts and in what was withheld."""
    if record.data is None:
        return record
    conflicts = {
        pointer: tuple(replace(other, value=_masked_beside(other.value, pointer, task)) for other in others)
        for pointer, others in record.conflicts.items()
    }
    withheld = tuple(
        replace(each, value=_masked_beside(each.value, f"/{each.field}", task)) for each in record.provenance.withheld
    )
    provenance = replace(record.provenance, withheld=withheld)
    return replace(record, data=mask(record.data, task), conflicts=conflicts, provenance=provenance)


def mask(data: Mapping[str, Json], task: Task) -> dict[str, Json]:
    """The data with `***` for each sensitive value that is not null."""
    masked: dict[str, Json] = _masked(data, task.schema, task)
    return masked


def _masked_beside(value: Json, pointer: str, task: Task) -> Json:
    """Mask a value that is kept beside the data. Its pointer may leave out list indices."""
    *above, schema = _on_the_way(pointer, value, task)
    sensitive = any(variant.get("x-sensitive") for each in above for variant in _variants(each, task))
    return _masked(value, schema, task, sensitive)


def _on_the_way(pointer: str, value: Json, task: Task) -> Iterator[Schema]:
    """The schemas from the top down to that of a value."""
    schema: Schema = task.schema
    yield schema
    for part in [*pointer.split("/")[1:], None]:
        for _ in range(_DEEPEST_LIST):
            if not _is_list(schema, task) or (isinstance(value, list) if part is None else part.isdecimal()):
                break
            schema = _merged(list(_variants(schema, task)), "-", task)
            yield schema
        if part is not None:
            schema = _merged(list(_variants(schema, task)), part.replace("~1", "/").replace("~0", "~"), task)
            yield schema


def _is_list(schema: Schema, task: Task) -> bool:
    return any("items" in variant and "properties" not in variant for variant in _variants(schema, task))


def _masked(value: Json, schema: Json, task: Task, sensitive: bool = False) -> Json:
    variants = list(_variants(task.resolve(schema), task))
    sensitive = sensitive or any(variant.get("x-sensitive") for variant in variants)
    if isinstance(value, Mapping):
        return {name: _masked(item, _merged(variants, name, task), task, sensitive) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, _merged(variants, str(at), task), task, sensitive) for at, item in enumerate(value)]
    return MASK if sensitive and value is not None else value


def _variants(schema: Schema, task: Task) -> Iterator[Schema]:
    """The schema and its alternatives: what one of them calls sensitive is."""
    yield schema
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _variants(task.resolve(branch), task)


def _below(schema: Schema, part: str, task: Task) -> Iterator[Json]:
    for variant in _variants(schema, task):
        yield variant.get("properties", {}).get(part, variant.get("items", {}))


def _merged(variants: list[Schema], part: str, task: Task) -> Schema:
    """What the alternatives say of a member or item, as alternatives."""
    return {"anyOf": [sub for variant in variants for sub in _below(variant, part, task)]}
