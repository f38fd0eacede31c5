"""A record as a row of output: one envelope, the same keys in the same order for success and failure alike.

`record.schema.json` describes it for the outside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from types import NoneType
from typing import TypeVar

import orjson

from extractor.data import (
    RECORD_VERSION,
    STATUSES,
    Conflict,
    Json,
    Provenance,
    Record,
    RecordError,
    RunInfo,
    SampledAnswer,
    Sampling,
    Source,
    Span,
    Usage,
    Withheld,
)
from extractor.errors import Problem

Part = TypeVar("Part")


def to_row(record: Record) -> dict[str, Json]:
    """Return the record as JSON values: tuples as lists, seconds to the millisecond."""
    usage = record.usage
    return {
        "id": record.id,
        "status": record.status,
        "data": record.data,
        "normalized": dict(record.normalized),
        "spans": {pointer: [list(span) for span in spans] for pointer, spans in record.spans.items()},
        "locations": {pointer: [dict(each) for each in found] for pointer, found in record.locations.items()},
        "confidence": dict(record.confidence),
        "errors": [error.as_json() for error in record.errors],
        "conflicts": {pointer: [each.as_json() for each in found] for pointer, found in record.conflicts.items()},
        "provenance": record.provenance.as_json(),
        "attempts": record.attempts,
        "source": {**asdict(record.source), "notes": list(record.source.notes)},
        "run": asdict(record.run),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "seconds": round(usage.seconds, 3),
        },
    }


def to_line(record: Record) -> bytes:
    """Return the row as one line of UTF-8 JSON."""
    return json_line(to_row(record))


def json_line(row: Mapping[str, Json]) -> bytes:
    """Return values as one line of UTF-8 JSON.

    What orjson refuses (lone surrogates, integers beyond 64 bits) is written by the standard library with ASCII
    escapes, so that every record gives a line; a number that JSON does not have (NaN) is null in both.
    """
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(_finite(dict(row)), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _finite(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_line(line: bytes) -> Json:
    """Return the JSON value of a line that `to_line` wrote. Raises ValueError for what is not JSON."""
    try:
        return orjson.loads(line)
    except ValueError:
        return json.loads(line)


def from_row(row: Mapping[str, Json]) -> Record:
    """Return the record that a row was made of. Raises ValueError for another row; unknown keys are left out."""
    try:
        _check(row)
        if (version := row["run"].get("record", 1)) != RECORD_VERSION:
            raise ValueError(f"record version {version}, which another version of this program wrote and reads")
        return Record(
            **{name: row[name] for name in ("id", "status", "data", "confidence", "attempts")},
            normalized=row.get("normalized", {}),
            source=_source(row["source"]),
            run=_part(RunInfo, row["run"]),
            spans={pointer: tuple(map(_span, found)) for pointer, found in row["spans"].items()},
            locations={pointer: tuple(found) for pointer, found in row["locations"].items()},
            errors=tuple(_error(entry) for entry in row["errors"]),
            conflicts={pointer: tuple(map(_conflict, found)) for pointer, found in row["conflicts"].items()},
            provenance=_provenance(row["provenance"]),
            usage=_part(Usage, row["usage"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record ({type(error).__name__}: {error})") from error


_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("normalized", "spans", "locations", "confidence", "conflicts", "provenance", "source", "run", "usage"), (dict,)
    ),
    **dict.fromkeys(("id", "path", "sha256", "fingerprint", "model", "schema", "prompt", "code", "message"), (str,)),
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "attempts", "chunks", "passes"), (int,)),
    **dict.fromkeys(("errors", "notes"), (list,)),
    "data": (dict, NoneType),
    "encoding": (str, NoneType),
    "chars": (int, NoneType),
    "seconds": (int, float),
}
"""What the values of a row and of its parts must be, where a wrong one would come to light only later."""


def _check(row: Mapping[str, Json]) -> None:
    """Raise TypeError unless a row and its parts have the kinds of values that a record has."""
    parts = [row, row["source"], row["run"], row["usage"], *row["errors"]]
    for part in parts:
        for name, value in part.items():
            if not isinstance(value, _KINDS.get(name, (object,))):
                raise TypeError(f"{name} is {type(value).__name__}")
    if row["status"] not in STATUSES:
        raise TypeError(f"status is {row['status']!r}")
    if not all(isinstance(each, dict) for found in row["locations"].values() for each in found):
        raise TypeError("a location is not an object")
    if not all(isinstance(each, float | int | NoneType) for each in row["confidence"].values()):
        raise TypeError("a confidence is not a number")


def _span(pair: Json) -> Span:
    start, end = pair
    if not (isinstance(start, int) and isinstance(end, int)):
        raise TypeError("a span is not two integers")
    return start, end


def _error(entry: Mapping[str, Json]) -> RecordError:
    return RecordError(Problem(entry["code"], entry["message"]), entry.get("chunk"), entry.get("attempt"))


def _conflict(entry: Mapping[str, Json]) -> Conflict:
    return Conflict(entry["value"], None if entry["span"] is None else _span(entry["span"]))


def _provenance(entry: Mapping[str, Json]) -> Provenance:
    return Provenance(
        parsed=tuple(entry.get("parsed", ())),
        withheld=tuple(map(_withheld, entry.get("withheld", ()))),
        decoding=tuple(entry.get("decoding", ())),
        unconstrained=tuple(entry.get("unconstrained", ())),
        sampled=tuple(map(_sampled, entry.get("sampled", ()))),
        **{name: entry[name] for name in ("grounded", "found_in_pass", "chunks", "groups", "passes") if name in entry},
    )


def _withheld(entry: Mapping[str, Json]) -> Withheld:
    spans = tuple(map(_span, entry["spans"]))
    return Withheld(entry["field"], entry["value"], entry["code"], entry["confidence"], spans)


def _sampled(entry: Mapping[str, Json]) -> SampledAnswer:
    sampling = Sampling(entry["temperature"], entry["seed"])
    return SampledAnswer(entry["chunk"], entry["attempt"], entry.get("pass", 1), sampling)


def _source(row: Mapping[str, Json]) -> Source:
    return _part(Source, {**row, "notes": tuple(row.get("notes", ()))})


def _part(kind: type[Part], value: Mapping[str, Json]) -> Part:
    return kind(**{each.name: value[each.name] for each in fields(kind) if each.name in value})  # type: ignore[arg-type]
