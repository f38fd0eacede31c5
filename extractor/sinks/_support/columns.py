"""A record in columns: those of the envelope and one for each field of the schema, for formats that are tables.

A field that is named like a column of the envelope, or like another field but for case, is in the column
`data.NAME`. What is not a scalar is JSON text. Values that no column is for (the schema lets a document have properties
of its own) or that no column of the type holds whole (an integer of more than 64 bits) are in `data_json`, with all
the others, where there are any. The form of a scalar field in one notation (`x-normalize`) is in `NAME.normalized`;
`normalized` has all forms by pointer, those of values in lists and objects among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from extractor.data import Json, Record
from extractor.sinks._support.cell_types import as_text, fit
from extractor.storage import flat_rows
from extractor.storage.rows import to_row
from extractor.storage.sink import SinkOptions
from extractor.task.column_types import SCALARS, ColumnType, column_types, normalizations
from extractor.task.task import Task
from extractor.text.json_pointer import escape_pointer

WHOLE = "data_json"
"""The column after those of fields; those of their forms in one notation follow it."""
NORMALIZED = ".normalized"
BEFORE = {"id": "string", "status": "string", "code": "string"}
AFTER = {
    **dict.fromkeys(
        ("data_json", "normalized", "spans", "locations", "confidence", "errors", "conflicts", "provenance"), "json"
    ),
    "attempts": "integer",
    "path": "string",
    "sha256": "string",
    "encoding": "string",
    "chars": "integer",
    "notes": "json",
    **dict.fromkeys(("fingerprint", "model", "schema", "prompt", "schema_hash", "prompt_hash"), "string"),
    "record": "integer",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "seconds": "number",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, each with its type (`json` for JSON text), and how a record fills them.

    `fields` are the columns of fields by name, `normalized` those of their forms by pointer. A `decimal` is a plain
    number as text, of any length.
    """

    types: Mapping[str, str]
    fields: Mapping[str, str]
    flatten: bool
    normalized: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, options: SinkOptions) -> Columns:
        """Return the columns for a run. Without a task, all data is in `data_json`."""
        if options.flatten:
            return cls(flat_rows.COLUMNS, {}, True)
        types = _types(options.task) if options.task else {}
        fields = dict(zip(types, _unique(list(types)), strict=True))
        forms = _forms(options.task, types) if options.task else {}
        unique = _unique([*fields.values(), *(f"{fields[name]}{NORMALIZED}" for name in forms)])[len(fields) :]
        normalized = {f"/{escape_pointer(name)}": column for name, column in zip(forms, unique, strict=True)}
        columns = {fields[name]: type for name, type in types.items()}
        after = {WHOLE: AFTER[WHOLE], **dict(zip(unique, forms.values(), strict=True)), **AFTER}
        return cls({**BEFORE, **columns, **after}, fields, False, normalized)

    def rows(self, record: Record) -> list[list[Json]]:
        """Return the cells of a record's rows: text, numbers, booleans and None."""
        return [self.cells(row) for row in (flat_rows.flat_rows(record) if self.flatten else [to_row(record)])]

    def cells(self, row: Mapping[str, Json]) -> list[Json]:
        """Return the cells of a row as JSON Lines has it, of a document or of a value."""
        found = row if self.flatten else self._whole(row)
        return [_cell(found[name], type) for name, type in self.types.items()]

    def _whole(self, row: Mapping[str, Json]) -> dict[str, Json]:
        data = row["data"]
        values = {column: (data or {}).get(name) for name, column in self.fields.items()}
        values |= {column: row.get("normalized", {}).get(pointer) for pointer, column in self.normalized.items()}
        more = None if data is None or self._hold(data) else data
        code = row["errors"][-1]["code"] if row["status"] != "ok" and row["errors"] else None
        known = {**row, **row["source"], **row["run"], **row["usage"], "code": code, "data_json": more}
        return {**known, **values}

    def _hold(self, data: Mapping[str, Json]) -> bool:
        """Return whether the columns hold all of some data."""
        return data.keys() <= self.fields.keys() and all(
            fit(ColumnType(self.types[self.fields[name]]), value)[1] for name, value in data.items()
        )


def _types(task: Task) -> dict[str, str]:
    """Return the type of each field's column: that of a scalar, or JSON."""
    return {name: type.name if type.name in SCALARS else "json" for name, type in column_types(task).items()}


def _forms(task: Task, types: Mapping[str, str]) -> dict[str, str]:
    """Return the type of the column for the normalized form of each scalar field that has one."""
    kinds = normalizations(task)
    return {
        name: "decimal" if kinds[name] in ("number", "money") else "string"
        for name, type in types.items()
        if name in kinds and type in SCALARS
    }


def _unique(names: list[str]) -> list[str]:
    """Return names of columns, no two of them alike: SQL is case-insensitive, and knows no NUL."""
    taken = {name.casefold() for name in (*BEFORE, *AFTER)}
    unique = []
    for name in names:
        chosen = name.replace("\0", "\ufffd")
        while chosen.casefold() in taken:
            chosen = f"data.{chosen}"
        taken.add(chosen.casefold())
        unique.append(chosen)
    return unique


def _cell(value: Json, type: str) -> Json:
    """Return a value of a column: as JSON in one of that type, and where a failed document has a value of another."""
    if value is None or (type == "json" and value in ({}, [])):
        return None
    if type == "json" or isinstance(value, dict | list | tuple):
        return as_text(value)
    return as_text(value, quoted=False) if isinstance(value, str) else value
