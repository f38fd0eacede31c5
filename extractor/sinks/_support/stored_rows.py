"""Rows of a table as the rows of JSON Lines that they were made of: the reverse of `columns`.

A table holds less than JSON Lines says: a number of a CSV file is text, and a truth value of SQLite 0 or 1. Who knows
the schema can bring values into form; this module does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from extractor.data import Json
from extractor.errors import InputError
from extractor.sinks._support.columns import AFTER, BEFORE, NORMALIZED, WHOLE
from extractor.storage.flat_rows import COLUMNS

Cells = Mapping[str, Json]

ENVELOPE = (
    "id",
    "status",
    "normalized",
    "spans",
    "locations",
    "confidence",
    "errors",
    "conflicts",
    "provenance",
    "attempts",
)
PARTS: Mapping[str, tuple[str, ...]] = {
    "source": ("path", "sha256", "encoding", "chars", "notes"),
    "run": ("fingerprint", "model", "schema", "prompt", "schema_hash", "prompt_hash", "record"),
    "usage": ("prompt_tokens", "completion_tokens", "seconds"),
}
READERS: Mapping[str, Callable[[Json], Json]] = {"string": str, "integer": int, "number": float, "json": json.loads}
EMPTY: Mapping[str, Json] = {
    **dict.fromkeys(("normalized", "spans", "locations", "confidence", "conflicts", "provenance"), {}),
    **dict.fromkeys(("errors", "notes"), []),
    **dict.fromkeys(("path", "sha256"), ""),
}
"""What an empty cell of a column stands for, where that is not null."""


def stored_row(cells: Cells, where: str) -> dict[str, Json]:
    """Return the row of JSON Lines, of a document or of a value, that a row of columns holds; an empty cell is None.

    A cell of a field that is JSON text of a list or an object is read as one. `where` names the row in messages. Raises
    InputError for other columns, and for cells that no record gives.
    """
    try:
        return _flat(cells) if {"row", "rows", "pointer"} <= cells.keys() else _whole(cells)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not a row of results ({type(error).__name__}: {error}). Rows are read from tables that "
            "`extractor run` wrote."
        ) from error


def _flat(cells: Cells) -> dict[str, Json]:
    cells = {"normalized": None, **cells}
    return {name: None if cells[name] is None else READERS[kind](cells[name]) for name, kind in COLUMNS.items()}


def _whole(cells: Cells) -> dict[str, Json]:
    kinds = {**BEFORE, **AFTER}
    cells = {"normalized": None, **cells}
    known = {name: EMPTY.get(name) if cells[name] is None else READERS[kinds[name]](cells[name]) for name in kinds}
    data = known["data_json"]
    if data is None:
        found = {name: _field(cells[column]) for column, name in field_names(cells).items()}
        answered = known["status"] != "failed" or any(value is not None for value in found.values())
        data = found if answered else None
    parts = {part: {name: known[name] for name in names} for part, names in PARTS.items()}
    return {**{name: known[name] for name in ENVELOPE}, "data": data, **parts}


def _field(cell: Json) -> Json:
    if not isinstance(cell, str) or cell[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns of fields, each with the name of its field: `data.id` is that of the field `id`."""
    known = list(columns)
    envelope = {**BEFORE, **AFTER}
    taken = {name.casefold() for name in envelope}
    names: dict[str, str] = {}
    end = known.index(WHOLE) if WHOLE in known else len(known)
    forms = {column for column in known[end:] if column.endswith(NORMALIZED)}
    for column in (column for column in known if column not in envelope and column not in forms):
        name = column
        while (inner := name.removeprefix("data.")) not in (name, *names.values()) and inner.casefold() in taken:
            name = inner
        names[column] = name
        taken.add(column.casefold())
    return names
