"""A record as rows of values: one for each place of each value, and one without a value where there is none to show
or the document failed, so that nothing vanishes.

Rows of a document say which of how many they are, so that a restart knows whether all are there. Its tokens are in
the first one, so that sums are right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from extractor.data import Json, Record
from extractor.text.json_pointer import escape_pointer, unescape_pointer

COLUMNS = {
    "id": "string",
    "status": "string",
    "row": "integer",
    "rows": "integer",
    "field": "string",
    "value": "string",
    "normalized": "string",
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

UNKNOWN = ("model", "schema", "prompt")
"""What flat rows do not say of a run."""


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
        "normalized": record.normalized.get(value.pointer),
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


def whole_rows(
    rows: Iterable[tuple[int, dict[str, Json] | None]],
) -> Iterator[tuple[int, dict[str, Json] | None]]:
    """Yield rows that are flat as one for each document again, others as they are, each with the number of its first.

    What flat rows do not hold is left out: nulls, errors but the last, how values were found. A value is text. None is
    a torn row.
    """
    held: list[dict[str, Json]] = []
    first = 0
    for number, row in rows:
        if row is None or not {"row", "rows", "pointer", "fingerprint"} <= row.keys():
            yield number, row
            continue
        if held and held[0]["id"] != row["id"]:
            yield first, _whole_row(held)
            held = []
        first = first if held else number
        held.append(row)
        if row["row"] == row["rows"]:
            yield first, _whole_row(held)
            held = []
    if held:
        yield first, _whole_row(held)


def _whole_row(rows: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    values = [row for row in rows if row["pointer"] is not None]
    spans: dict[str, list[list[int]]] = {}
    for row in values:
        if row["start"] is not None:
            spans.setdefault(row["pointer"], []).append([row["start"], row["end"]])
    first = rows[0]
    tokens = {name: first[name] or 0 for name in ("prompt_tokens", "completion_tokens")}
    errors = [{"code": first["code"], "message": first["message"] or ""}] if first["code"] else []
    return {
        "id": first["id"],
        "status": first["status"],
        "data": _data(values) if values or first["status"] != "failed" else None,
        "normalized": {row["pointer"]: row["normalized"] for row in values if row.get("normalized") is not None},
        "spans": spans,
        "locations": {},
        "confidence": {row["pointer"]: row["confidence"] for row in values if row["confidence"] is not None},
        "errors": errors,
        "conflicts": {},
        "provenance": {},
        "attempts": 1 if values else 0,
        "source": {"path": first["path"] or "", "sha256": first["sha256"] or ""},
        "run": {"fingerprint": first["fingerprint"], "record": first["record"], **dict.fromkeys(UNKNOWN, "")},
        "usage": {**tokens, "seconds": 0.0},
    }


def _data(values: Iterable[Mapping[str, Json]]) -> Json:
    tree: dict[str, Json] = {}
    for row in values:
        *parts, last = map(unescape_pointer, row["pointer"].removeprefix("/").split("/"))
        node = tree
        for part in parts:
            node = node.setdefault(part, {})
        node[last] = row["value"]
    return {name: _with_lists(value) for name, value in tree.items()}


def _with_lists(value: Json) -> Json:
    """Return a tree whose objects with the keys 0, 1, 2 and so on are lists, null where a null was left out."""
    if not isinstance(value, dict):
        return value
    items = {name: _with_lists(item) for name, item in value.items()}
    if not all(name.isascii() and name.isdecimal() and len(name) < 7 for name in items):
        return items
    return [items.get(str(index)) for index in range(max(map(int, items)) + 1)]
