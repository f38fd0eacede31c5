"""Rows as Arrow has them: the envelope with its structure, data as a struct of the schema's fields.

A value that does not fit its field (of a failed document, or a property that the schema does not name) is null there,
and all data of its document is in `data_json`, which is null otherwise: nothing is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from extractor.data import Json
from extractor.sinks import SinkOptions
from extractor.sinks._support import flat
from extractor.sinks._support.cell_types import fitted, text_of
from extractor.sinks._support.json_text import flat_row
from extractor.storage.resume import Row
from extractor.task.column_types import JSON, ColumnType, column_type

if TYPE_CHECKING:
    import pyarrow as pa

Stored = dict[str, Json]
FLAT_KINDS = {"string": ColumnType("string"), "integer": ColumnType("integer"), "number": ColumnType("number")}


class Layout(ABC):
    """How rows stand in a file."""

    schema: pa.Schema
    restart_columns: list[str]

    @staticmethod
    def of(options: SinkOptions) -> Layout:
        return Flat() if options.flatten else Whole(options)

    @abstractmethod
    def stored(self, row: Stored) -> Stored:
        """A row of JSON Lines as it is stored."""

    @abstractmethod
    def grouped(self, rows: Iterable[Stored]) -> Iterator[list[Stored]]:
        """The rows of each document."""

    @abstractmethod
    def row(self, rows: list[Stored]) -> Row:
        """What the rows of a document say."""


class Flat(Layout):
    """A row for each value."""

    def __init__(self) -> None:
        import pyarrow as pa

        self.schema = pa.schema([(name, _type(FLAT_KINDS[kind])) for name, kind in flat.COLUMNS.items()])
        self.restart_columns = list(flat.COLUMNS)

    def stored(self, row: Stored) -> Stored:
        return {name: fitted(FLAT_KINDS[kind], row.get(name))[0] for name, kind in flat.COLUMNS.items()}

    def grouped(self, rows: Iterable[Stored]) -> Iterator[list[Stored]]:
        group: list[Stored] = []
        for row in rows:
            group.append(row)
            if row["row"] == row["rows"]:
                yield group
                group = []

    def row(self, rows: list[Stored]) -> Row:
        return flat_row(rows[0])


class Whole(Layout):
    """A row for each document."""

    restart_columns = ["id", "status", "reason", "source", "run", "usage"]

    def __init__(self, options: SinkOptions) -> None:
        task = options.task
        members = {each.name: column_type(task.compiled, each.node.name) for each in task.fields} if task else {}
        self._data = ColumnType("object", members=members) if members else JSON
        self.schema = _envelope(_type(self._data))

    def stored(self, row: Stored) -> Stored:
        data, exact = fitted(self._data, row["data"])
        failed = row["status"] == "failed" and row["errors"]
        return {
            **row,
            "reason": row["errors"][-1]["code"] if failed else None,
            "data": data,
            "data_json": None if exact else text_of(row["data"]),
            "spans": [(name, [{"start": a, "end": b} for a, b in found]) for name, found in row["spans"].items()],
            "locations": [(name, [text_of(each) for each in found]) for name, found in row["locations"].items()],
            "confidence": list(row["confidence"].items()),
            "conflicts": [(name, text_of(others)) for name, others in row["conflicts"].items()],
            "provenance": text_of(row["provenance"]),
        }

    def grouped(self, rows: Iterable[Stored]) -> Iterator[list[Stored]]:
        return ([row] for row in rows)

    def row(self, rows: list[Stored]) -> Row:
        (row,) = rows
        usage = row["usage"]
        tokens = usage["prompt_tokens"], usage["completion_tokens"]
        inner = row["source"]["sha256"], row["status"], row["run"]["fingerprint"]
        return Row(row["id"], *inner, row["reason"] or "", *tokens)


def _type(kind: ColumnType) -> pa.DataType:
    import pyarrow as pa

    if kind.name == "list" and kind.items:
        return pa.list_(_type(kind.items))
    if kind.name == "object":
        return pa.struct([(name, _type(member)) for name, member in kind.members.items()])
    simple = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return simple.get(kind.name, pa.string())


def _envelope(data: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()

    def texts(*names: str) -> list[tuple[str, pa.DataType]]:
        return [(name, text) for name in names]

    failure = pa.struct([*texts("code", "message"), ("chunk", whole), ("attempt", whole)])
    run = texts("fingerprint", "model", "schema", "prompt", "schema_hash", "prompt_hash")
    columns = [
        *texts("id", "status", "reason"),
        ("data", data),
        ("data_json", text),
        ("spans", pa.map_(text, pa.list_(pa.struct([("start", whole), ("end", whole)])))),
        ("locations", pa.map_(text, pa.list_(text))),
        ("confidence", pa.map_(text, real)),
        ("errors", pa.list_(failure)),
        ("conflicts", pa.map_(text, text)),
        ("provenance", text),
        ("attempts", whole),
        ("source", pa.struct([*texts("path", "sha256", "encoding"), ("chars", whole)])),
        ("run", pa.struct(run)),
        ("usage", pa.struct([("prompt_tokens", whole), ("completion_tokens", whole), ("seconds", real)])),
    ]
    return pa.schema(columns)
