"""Annotations in the form that a schema asks for: formats of entities give each field a list of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Notes
from extractor.data import Json
from extractor.task.coerce import Coercer
from extractor.task.column_types import JSON, SCALARS, ColumnType, column_types
from extractor.task.task import Task
from extractor.text.json_pointer import escape_pointer, scalars

Value = TypeVar("Value")


def shaped(item: AnnotatedText, task: Task, notes: Notes) -> AnnotatedText:
    """Return a text with values as the task's schema asks for them; what finds no room there is noted."""
    if item.data is None:
        return item
    types = column_types(task)
    data: dict[str, Json] = {}
    moved: dict[str, str] = {}
    for name, value in item.data.items():
        if name not in types and not task.is_map:
            notes.add("fields that the schema does not name, left out", value is not None)
            continue
        data[name] = _formed(value, types.get(name, JSON), notes)
        moved |= _moved(name, value, data[name])
    spans = _renamed(item.spans, moved)
    confidence = _renamed(item.confidence, moved)
    return replace(item, data=_coerced(data, task), spans=spans, confidence=confidence)


def _formed(value: Json, type: ColumnType, notes: Notes) -> Json:
    if type.name == "list" and value is not None and not isinstance(value, list):
        return [value]
    if type.name in SCALARS and isinstance(value, list):
        notes.add("further values of fields that take one, left out", max(len(value) - 1, 0))
        return value[0] if value else None
    return value


def _moved(name: str, before: Json, after: Json) -> dict[str, str]:
    """Return the new pointers of a field's values by the old ones."""
    pointer = f"/{escape_pointer(name)}"
    if isinstance(after, list) and not isinstance(before, list):
        return {each.pointer: f"{pointer}/0{each.pointer[len(pointer) :]}" for each in scalars(before, pointer)}
    if isinstance(before, list) and not isinstance(after, list):
        return {f"{pointer}/0": pointer}
    return {each.pointer: each.pointer for each in scalars(before, pointer)}


def _renamed(table: Mapping[str, Value], moved: Mapping[str, str]) -> dict[str, Value]:
    return {moved[pointer]: value for pointer, value in table.items() if pointer in moved}


def _coerced(data: Mapping[str, Json], task: Task) -> Mapping[str, Json]:
    """Return data with its scalars in the types of the schema; as it was where more than types would have to change."""
    coercer = Coercer(task.walk)
    value = coercer.coerce(dict(data), task.compiled.root_name)
    same = isinstance(value, dict) and _pointers(value) == _pointers(dict(data))
    return value if same and not {"null-words", "keys"} & coercer.steps.keys() else data


def _pointers(data: Json) -> list[str]:
    return [each.pointer for each in scalars(data)]
