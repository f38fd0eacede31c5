"""A record in columns: those of the envelope and one for each field of the schema, for formats that are tables.

A field that is called like a column of the envelope, or like another field but for case, is in the column
`data.NAME`. What is no scalar is JSON text. Values that no column is for (the schema lets a document have properties
of its own) or that no column of the type holds whole (an integer of more than 64 bits) are in `data_json`, with all
the others, where there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from extractor.data import Json, Record
from extractor.sinks import SinkOptions
from extractor.sinks._support import flat
from extractor.sinks._support.cell_types import fitted, text_of
from extractor.sinks._support.flat import flat_rows
from extractor.storage.resume import reason_of
from extractor.storage.rows import to_row
from extractor.task.column_types import SCALARS, ColumnType, column_type
from extractor.task.task import Task

BEFORE = {"id": "string", "status": "string", "reason": "string"}
BEHIND = {
    **dict.fromkeys(("data_json", "spans", "locations", "confidence", "errors", "conflicts", "provenance"), "json"),
    "attempts": "integer",
    "path": "string",
    "sha256": "string",
    "encoding": "string",
    "chars": "integer",
    **dict.fromkeys(("fingerprint", "model", "schema", "prompt", "schema_hash", "prompt_hash"), "string"),
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "seconds": "number",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, each with its type (`json` for JSON text), and how a record fills them."""

    types: Mapping[str, str]
    fields: Mapping[str, str]
    flatten: bool

    @classmethod
    def of(cls, options: SinkOptions) -> Columns:
        """The columns for a run. Without a task, all data is in `data_json`."""
        if options.flatten:
            return cls(flat.COLUMNS, {}, True)
        kinds = _kinds(options.task) if options.task else {}
        fields = dict(zip(kinds, _unique(list(kinds)), strict=True))
        return cls({**BEFORE, **{fields[name]: kind for name, kind in kinds.items()}, **BEHIND}, fields, False)

    def rows(self, record: Record) -> list[list[Json]]:
        """The cells of a record's rows: text, numbers, booleans and None."""
        found = flat_rows(record) if self.flatten else [self._whole(record)]
        return [[_cell(row[name], kind) for name, kind in self.types.items()] for row in found]

    def _whole(self, record: Record) -> dict[str, Json]:
        row = to_row(record)
        data = row.pop("data")
        values = {column: (data or {}).get(name) for name, column in self.fields.items()}
        more = None if data is None or self._hold(data) else data
        inner = {**row.pop("source"), **row.pop("run"), **row.pop("usage")}
        return {**values, **row, **inner, "reason": reason_of(record) or None, "data_json": more}

    def _hold(self, data: Mapping[str, Json]) -> bool:
        """Whether the columns hold all of some data."""
        return data.keys() <= self.fields.keys() and all(
            fitted(ColumnType(self.types[self.fields[name]]), value)[1] for name, value in data.items()
        )


def _kinds(task: Task) -> dict[str, str]:
    """The type of each field's column: that of a scalar, or JSON."""
    kinds = {each.name: column_type(task.compiled, each.node.name).name for each in task.fields}
    return {name: kind if kind in SCALARS else "json" for name, kind in kinds.items()}


def _unique(names: list[str]) -> list[str]:
    """Names of columns, no two of them alike; SQL does not tell case apart."""
    taken = {name.casefold() for name in (*BEFORE, *BEHIND)}
    unique = []
    for name in names:
        chosen = name
        while chosen.casefold() in taken:
            chosen = f"data.{chosen}"
        taken.add(chosen.casefold())
        unique.append(chosen)
    return unique


def _cell(value: Json, kind: str) -> Json:
    """A value of a column: in JSON where that says so, and of a failed document where the type is another one."""
    if value is None or (kind == "json" and value in ({}, [])):
        return None
    if kind == "json" or isinstance(value, dict | list | tuple):
        return text_of(value)
    return text_of(value, quoted=False) if isinstance(value, str) else value
