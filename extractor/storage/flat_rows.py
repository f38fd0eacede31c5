"""A record as rows of values: one for each place of each value, and one without a value where there is none to show
or the document failed, so that nothing vanishes.

Rows of a document say which of how many they are, so that a restart knows whether all are there. Its tokens are in
the first one, so that sums are right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from extractor.data import Json, Record
from extractor.text.json_pointer import escape_pointer

COLUMNS = {
    "id": "string",
    "status": "string",
    "row": "integer",
    "rows": "integer",
    "field": "string",
    "value": "string",
    "start": "integer",
    "end": "integer",
    "page": "integer",
    "location": "string",
    "confidence": "number",
    "pointer": "string",
    "code": "string",
    "message": "string",
    "path": "string",
    "sha256": "string",
    "fingerprint": "string",
    "record": "integer",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
}
"""The columns, each with its JSON type."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in data: where it is, and the name of its field (`商品.名称` in a list of objects)."""

    pointer: str
    field: str
    value: Json


def flat_rows(record: Record) -> list[dict[str, Json]]:
    """Return the rows of a record, at least one, each with all of COLUMNS.

    A document that is not `ok` has a first row without a value, which says why.
    """
    found = [row for value in _values(record) for row in _placed(record, value)]
    if record.status != "ok" or not found:
        message = record.errors[-1].problem.message if record.code else None
        found.insert(0, {"code": record.code, "message": message})
    empty = dict.fromkeys(COLUMNS)
    common = {
        "id": record.id,
        "status": record.status,
        "rows": len(found),
        "path": record.source.path,
        "sha256": record.source.sha256,
        "fingerprint": record.run.fingerprint,
        "record": record.run.record,
        "prompt_tokens": 0,
        "completion_tokens": 0,
    }
    rows = [{**empty, **common, "row": number, **row} for number, row in enumerate(found, 1)]
    usage = record.usage
    rows[0] |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return rows


def _values(record: Record) -> Iterator[_Value]:
    for name, value in (record.data or {}).items():
        yield from _inside(_Value(f"/{escape_pointer(name)}", name, value))


def _inside(value: _Value) -> Iterator[_Value]:
    """Yield the scalars of a value that are not null."""
    if isinstance(value.value, dict):
        for name, item in value.value.items():
            yield from _inside(_Value(f"{value.pointer}/{escape_pointer(name)}", f"{value.field}.{name}", item))
    elif isinstance(value.value, list):
        for index, item in enumerate(value.value):
            yield from _inside(_Value(f"{value.pointer}/{index}", value.field, item))
    elif value.value is not None:
        yield value


def _placed(record: Record, value: _Value) -> Iterator[dict[str, Json]]:
    """Yield a row for each place of a value; one without a place where it has none."""
    shown = value.value if isinstance(value.value, str) else json.dumps(value.value, ensure_ascii=False)
    row = {
        "field": value.field,
        "value": shown,
        "confidence": record.confidence.get(value.pointer),
        "pointer": value.pointer,
    }
    spans, locations = record.spans.get(value.pointer, ()), record.locations.get(value.pointer, ())
    for index, (start, end) in enumerate(spans):
        location = locations[index] if index < len(locations) else {}
        shown_location = json.dumps(dict(location), ensure_ascii=False) if location else None
        yield {**row, "start": start, "end": end, "page": location.get("page"), "location": shown_location}
    if not spans:
        yield row
