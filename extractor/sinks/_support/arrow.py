"""Rows as Arrow has them: the envelope with its structure, data as a struct of the schema's fields.

A value that does not fit its field (of a failed document, or a property that the schema does not name) is null there,
and all data of its document is in `data_json`, which is null otherwise: nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from extractor.sinks._support.cell_types import as_text, fit
from extractor.sinks._support.columns import NORMALIZED
from extractor.sinks._support.folded_table import Stored
from extractor.storage.flat_rows import COLUMNS
from extractor.storage.resume import RowSummary
from extractor.storage.sink import SinkOptions
from extractor.task.column_types import JSON, SCALARS, ColumnType, column_types, normalizations
from extractor.text.json_pointer import escape_pointer

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = ("id", "status", "attempts", "source", "run", "usage")
"""Columns of a record that are stored as JSON Lines have them."""
FLAT_TYPES = {name: ColumnType(type) for name, type in COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class ArrowLayout:
    """How rows are stored in a file: its schema, the columns that resuming reads, a row of JSON Lines as it is stored,
    and what a stored one says."""

    schema: pa.Schema
    resume_columns: list[str]
    stored: Callable[[Stored], Stored]
    summary: Callable[[Stored], RowSummary]

    @classmethod
    def of(cls, options: SinkOptions) -> ArrowLayout:
        """Return the layout for a run. Without a task, all data is JSON text."""
        if options.flatten:
            return cls(_flat_schema(), list(COLUMNS), _stored_flat, RowSummary.from_columns)
        task = options.task
        members = column_types(task) if task else {}
        data = ColumnType("object", members=members) if members else JSON
        forms = [name for name in (normalizations(task) if task else ()) if members[name].name in SCALARS]
        columns = ["id", "status", "code", "source", "run", "usage"]
        return cls(
            _record_schema(_arrow_type(data), forms), columns, partial(_stored_record, data, forms), _record_summary
        )


def _stored_flat(row: Stored) -> Stored:
    return {name: fit(type, row.get(name))[0] for name, type in FLAT_TYPES.items()}


def _stored_record(data_type: ColumnType, forms: Sequence[str], row: Stored) -> Stored:
    data, exact = fit(data_type, row["data"])
    return {
        **row,
        "code": row["errors"][-1]["code"] if row["status"] != "ok" and row["errors"] else None,
        "data": data,
        "data_json": None if exact else as_text(row["data"]),
        "normalized": list(row.get("normalized", {}).items()),
        "spans": [(name, [{"start": a, "end": b} for a, b in found]) for name, found in row["spans"].items()],
        "locations": [(name, [as_text(each) for each in found]) for name, found in row["locations"].items()],
        "confidence": list(row["confidence"].items()),
        "conflicts": [(name, as_text(others)) for name, others in row["conflicts"].items()],
        "provenance": as_text(row["provenance"]),
        **{f"{name}{NORMALIZED}": row.get("normalized", {}).get(f"/{escape_pointer(name)}") for name in forms},
    }


def original(row: Stored) -> Stored:
    """Return the row of JSON Lines that was stored as this one: of a document, or of a value."""
    if "row" in row:
        return row
    whole = row["data_json"]
    return {
        **{name: row[name] for name in WHOLE},
        "data": row["data"] if whole is None else json.loads(whole),
        "normalized": dict(row.get("normalized") or ()),
        "spans": {name: [[each["start"], each["end"]] for each in found] for name, found in row["spans"]},
        "locations": {name: [json.loads(each) for each in found] for name, found in row["locations"]},
        "confidence": dict(row["confidence"]),
        "conflicts": {name: json.loads(others) for name, others in row["conflicts"]},
        "errors": [{name: value for name, value in each.items() if value is not None} for each in row["errors"]],
        "provenance": json.loads(row["provenance"]),
    }


def _record_summary(row: Stored) -> RowSummary:
    return RowSummary.from_columns({**row["source"], **row["run"], **row["usage"], **row})


def _arrow_type(column: ColumnType) -> pa.DataType:
    import pyarrow as pa

    if column.name == "list" and column.items:
        return pa.list_(_arrow_type(column.items))
    if column.name == "object":
        return pa.struct([(name, _arrow_type(member)) for name, member in column.members.items()])
    simple = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return simple.get(column.name, pa.string())


def _flat_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, _arrow_type(type)) for name, type in FLAT_TYPES.items()])


def _record_schema(data: pa.DataType, forms: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()

    def texts(*names: str) -> list[tuple[str, pa.DataType]]:
        return [(name, text) for name in names]

    error = pa.struct([*texts("code", "message"), ("chunk", whole), ("attempt", whole)])
    run = [*texts("fingerprint", "model", "schema", "prompt", "schema_hash", "prompt_hash"), ("record", whole)]
    columns = [
        *texts("id", "status", "code"),
        ("data", data),
        ("data_json", text),
        ("normalized", pa.map_(text, text)),
        ("spans", pa.map_(text, pa.list_(pa.struct([("start", whole), ("end", whole)])))),
        ("locations", pa.map_(text, pa.list_(text))),
        ("confidence", pa.map_(text, real)),
        ("errors", pa.list_(error)),
        ("conflicts", pa.map_(text, text)),
        ("provenance", text),
        ("attempts", whole),
        ("source", pa.struct([*texts("path", "sha256", "encoding"), ("chars", whole), ("notes", pa.list_(text))])),
        ("run", pa.struct(run)),
        ("usage", pa.struct([("prompt_tokens", whole), ("completion_tokens", whole), ("seconds", real)])),
        *texts(*(f"{name}{NORMALIZED}" for name in forms)),
    ]
    return pa.schema(columns)
