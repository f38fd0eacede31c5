"""CSV as RFC 4180 has it, in UTF-8, null as an empty cell: the columns of `columns`, a document or a value a row.

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and documents come from strangers. Such a
cell, numbers apart, gets an apostrophe in front, the sign for text; one that begins with apostrophes before such a
character gets one more, so that taking one off gives the value back, always. So do names of columns, which are those of
a schema. The other formats hold values as they are.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence

from extractor.data import RECORD_VERSION, Json, Record
from extractor.errors import InputError, OutputError, OutputMismatch
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.sinks._support.columns import Columns
from extractor.sinks._support.stored_rows import stored_row
from extractor.storage.append_log import AppendLog
from extractor.storage.compression import LineReader, codec_of, with_codecs
from extractor.storage.resumable_file import ResumableSink
from extractor.storage.resume import ADVICE, ResumeState, RowSummary, foreign, other_rows, other_version

SUFFIXES = with_codecs(".csv")
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-][\d\s.,()-]*\d[\d\s.,()-]*")
LARGEST_CELL = 2**31 - 1
BOM = codecs.BOM_UTF8


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return a resumable file."""
    return ResumableSink(path, options, CsvRows(path, options))


def read_rows(path: str) -> Rows:
    """Yield the rows of a file; a cell without text is null. Raises InputError."""
    csv.field_size_limit(LARGEST_CELL)
    try:
        with codec_of(path).open(path) as lines:
            yield from _read_records(lines, path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except OutputError as error:  # a codec tells those who write what to do
        raise InputError(f"{path} is damaged, or not compressed as its suffix says ({error.__cause__}).") from error


def _read_records(lines: LineReader, path: str) -> Rows:
    header: list[str] = []
    size, number = 0, 0
    for number, (raw, written) in enumerate(_records(lines), 1):
        size += len(raw)
        cells = [unescape_formula(cell) for cell in written]
        if number == 1:
            header = [name.removeprefix("\ufeff") for name in cells]
        elif cells:
            row = {name: cell or None for name, cell in zip(header, cells, strict=False)}
            yield number, stored_row(row, f"{path} record {number}")
    if size < lines.size:
        yield number + 1, None


class CsvRows(AppendLog):
    """A header, then a CSV record for each row. A byte order mark that is asked for is put before them, also in a file
    that an earlier run began without; one that is there stays."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        super().__init__(path, options)
        csv.field_size_limit(LARGEST_CELL)
        self._columns = Columns.of(options)
        self._names = _written([[escape_formula(name) for name in self._columns.types]])
        self.header = self._wanted = (BOM if options.bom else b"") + self._names

    def resume(self) -> ResumeState:
        self.header = (BOM if self._has_mark() else b"") + self._names
        state = super().resume()
        if not state.table:
            self.header = self._wanted
        elif len(self.header) < len(self._wanted):
            self.header = self._wanted
            self._compact()
            return super().resume()
        return state

    def _has_mark(self) -> bool:
        if not os.path.exists(self._path):
            return False
        with self._codec.open(self._path) as lines:
            return lines.peek(len(BOM)).startswith(BOM)

    def clear(self) -> None:
        super().clear()
        self.header = self._wanted

    def encode(self, record: Record) -> bytes:
        return _written([[escape_formula(value) for value in row] for row in self._columns.rows(record)])

    def documents(self, lines: LineReader) -> Iterator[tuple[bytes, RowSummary]]:
        start = lines.peek(len(self.header)).removeprefix(BOM)
        if not (start.startswith(b"id,status,") or b"id,status,".startswith(start) or BOM.startswith(start)):
            raise foreign(self._path, "Line 1")
        records = _records(lines)
        header = [name.removeprefix("\ufeff") for name in next(records, (b"", []))[1]]
        if "sha256" in header and "record" not in header:
            raise other_version(self._path, 1)
        self._check_columns(header)
        held, first = b"", None
        for number, (raw, cells) in enumerate(records, 2):
            held += raw
            row, last = self._summary(number, dict(zip(header, cells, strict=False)))
            first = first or row
            if last:
                yield held, first
                held, first = b"", None

    def _check_columns(self, header: Sequence[str]) -> None:
        """Raise OutputMismatch for a header below which rows of this run would be out of place."""
        known, is_flat = [str(escape_formula(name)) for name in self._columns.types], "pointer" in header
        if {"id", "record"} <= set(header) and is_flat == self._columns.flatten and list(header) != known:
            other = [name for name in (*header, *known) if (name in header) != (name in known)]
            raise OutputMismatch(f"{self._path} has other columns ({', '.join(other) or 'their order'}). {ADVICE}")

    def _summary(self, number: int, value: dict[str, str]) -> tuple[RowSummary, bool]:
        """Return what a row says, and whether it is the last one of its document."""
        is_flat = {"row", "rows", "value"} <= value.keys()
        try:
            row = RowSummary.from_columns({**value, "id": unescape_formula(value["id"])})
        except (KeyError, TypeError, ValueError) as error:
            raise foreign(self._path, f"Record {number}") from error
        if is_flat != self._columns.flatten and row.record == RECORD_VERSION:
            raise other_rows(self._path, self._columns.flatten)
        return row, not is_flat or value["row"] == value["rows"]


def escape_formula(value: Json) -> Json:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def unescape_formula(cell: str) -> str:
    """Return the text that `escape_formula` made the cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _written(rows: Sequence[Sequence[Json]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _records(lines: LineReader) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the whole records of a file: a record ends with the first line end outside quotes."""
    held = b""
    for line in lines:
        held += line
        if held.endswith(b"\n") and held.count(b'"') % 2 == 0:
            text = io.StringIO(held.decode("utf-8", "replace"), newline="")
            yield held, next(csv.reader(text), [])
            held = b""
