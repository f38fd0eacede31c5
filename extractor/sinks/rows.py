"""A record as a row of output: one envelope, the same keys in the same order for success and failure alike.

`extractor/record.schema.json` describes it for the outside.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import orjson

from extractor.types import Json, Record


def to_row(record: Record) -> dict[str, Json]:
    """The record as JSON values: tuples as lists, seconds to the millisecond."""
    usage = record.usage
    return {
        "id": record.id,
        "status": record.status,
        "data": record.data,
        "spans": {pointer: [list(span) for span in spans] for pointer, spans in record.spans.items()},
        "where": {pointer: [dict(each) for each in places] for pointer, places in record.where.items()},
        "confidence": dict(record.confidence),
        "errors": [failure.as_json() for failure in record.errors],
        "conflicts": {pointer: list(values) for pointer, values in record.conflicts.items()},
        "how": dict(record.how),
        "attempts": record.attempts,
        "source": asdict(record.source),
        "run": asdict(record.run),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "seconds": round(usage.seconds, 3),
        },
    }


def to_line(record: Record) -> bytes:
    """The row as one line of UTF-8 JSON.

    What orjson refuses (lone surrogates, integers beyond 64 bits) is written by the standard library with ASCII
    escapes, so that every record gives a line; a number that JSON does not have (NaN) is null in both.
    """
    row = to_row(record)
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(_finite(row), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _finite(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_line(line: bytes) -> Json:
    """The JSON value of a line that `to_line` wrote. Raises ValueError for what is no JSON."""
    try:
        return orjson.loads(line)
    except ValueError:
        return json.loads(line)
