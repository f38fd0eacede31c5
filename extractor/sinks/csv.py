"""CSV as RFC 4180 has it, in UTF-8, null as an empty cell: the columns of `columns`, a document or a value a row.

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and documents come from strangers. Such a
cell, numbers apart, gets an apostrophe in front, the sign for text; one that begins with apostrophes before such a
character gets one more, so that taking one off gives the value back, always. The other formats hold values as they are.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence

from extractor.data import Json, Record
from extractor.sinks import Sink, SinkOptions
from extractor.sinks._support.columns import Columns
from extractor.sinks._support.json_text import flat_row
from extractor.storage.append_log import Appending, Reading
from extractor.storage.compression import Plain
from extractor.storage.resumable_file import FileSink
from extractor.storage.resume import Row, foreign, other_rows

SUFFIXES = (".csv",)
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-][\d\s.,()-]*\d[\d\s.,()-]*")
LARGEST_CELL = 2**31 - 1


def open_sink(path: str, options: SinkOptions) -> Sink:
    """A restartable file."""
    path = os.path.realpath(path)
    return FileSink(path, options, Appending(path, options, CsvText(Columns.of(options)), Plain()))


class CsvText:
    """A header, then a record for each row."""

    def __init__(self, columns: Columns) -> None:
        csv.field_size_limit(LARGEST_CELL)
        self._columns = columns
        self.header = _written([list(columns.types)])

    def encode(self, record: Record) -> bytes:
        return _written([[shown(value) for value in row] for row in self._columns.rows(record)])

    def documents(self, reading: Reading, path: str) -> Iterator[tuple[bytes, Row]]:
        start = reading.peek(len(self.header))
        if not (start.startswith(b"id,status,") or b"id,status,".startswith(start)):
            raise foreign(path, "Line 1")
        records = _records(reading)
        header = next(records, (b"", []))[1]
        held, first = b"", None
        for number, (raw, cells) in enumerate(records, 2):
            held += raw
            row, last = self._row(path, number, dict(zip(header, cells, strict=False)))
            first = first or row
            if last:
                yield held, first
                held, first = b"", None

    def _row(self, path: str, number: int, value: dict[str, str]) -> tuple[Row, bool]:
        if ("row" in value and "rows" in value and "value" in value) != self._columns.flatten and "sha256" in value:
            raise other_rows(path, self._columns.flatten)
        try:
            last = not self._columns.flatten or value["row"] == value["rows"]
            return flat_row({**value, "id": meant(value["id"])}), last
        except (KeyError, TypeError, ValueError) as error:
            raise foreign(path, f"Record {number}") from error


def shown(value: Json) -> Json:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def meant(cell: str) -> str:
    """The text that `shown` wrote so."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _written(rows: Sequence[Sequence[Json]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _records(reading: Reading) -> Iterator[tuple[bytes, list[str]]]:
    """The whole records of a file: a record ends with the first line end outside quotes."""
    held = b""
    for line in reading:
        held += line
        if held.endswith(b"\n") and held.count(b'"') % 2 == 0:
            text = io.StringIO(held.decode("utf-8", "replace"), newline="")
            yield held, next(csv.reader(text), [])
            held = b""
