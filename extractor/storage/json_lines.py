"""JSON Lines: a line for each document, or one for each value found (`flatten`). The format that loses nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from extractor.data import RECORD_VERSION, Json, Record
from extractor.errors import InputError, OutputError
from extractor.storage.append_log import AppendLog
from extractor.storage.compression import LineReader
from extractor.storage.flat_rows import flat_rows
from extractor.storage.resume import RowSummary, foreign, other_rows
from extractor.storage.rows import from_line, json_line, to_line

OPENING = b'{"id":'
BLANK = b"\xef\xbb\xbf \t\r\n"
"""A byte order mark and white space: a line of these holds no row."""


class JsonLines(AppendLog):
    """Rows as lines of JSON."""

    def encode(self, record: Record) -> bytes:
        return encode(record, flatten=self._options.flatten)

    def documents(self, lines: LineReader) -> Iterator[tuple[bytes, RowSummary]]:
        return documents(lines, self._path, flatten=self._options.flatten)


def encode(record: Record, *, flatten: bool) -> bytes:
    """Return the lines of a record."""
    return b"".join(map(json_line, flat_rows(record))) if flatten else to_line(record)


def documents(lines: LineReader, path: str, *, flatten: bool) -> Iterator[tuple[bytes, RowSummary]]:
    """Yield each whole document: its lines and what they say. Raises OutputError for a file that holds anything else.

    A torn line at the end is left out, unless it is all there is and reads as JSON: then it belongs to somebody.
    """
    start = lines.peek(len(OPENING))
    if not OPENING.startswith(start[: len(OPENING)]):
        raise foreign(path, "Line 1")
    held, first = b"", None
    for number, line in enumerate(lines, 1):
        held += line
        if not line.endswith(b"\n"):
            if number == 1 and _is_json(line):
                _summary(path, number, line, flatten)
            continue
        if line.strip():
            row, last = _summary(path, number, line, flatten)
            first = first or row
            if last:
                yield held, first
                held, first = b"", None


def _summary(path: str, number: int, line: bytes, flatten: bool) -> tuple[RowSummary, bool]:
    """Return what a line says, and whether it is the last one of its document."""
    try:
        value: Json = from_line(line)
        is_flat = "row" in value
        row = RowSummary.from_columns(value) if is_flat else RowSummary.from_row(value)
        last = not is_flat or value["row"] == value["rows"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise foreign(path, f"Line {number}") from error
    if is_flat != flatten and row.record == RECORD_VERSION:
        raise other_rows(path, flatten)
    return row, last


def _is_json(line: bytes) -> bool:
    try:
        from_line(line)
    except ValueError:
        return False
    return True


def read_rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Json] | None]]:
    """Yield the rows in lines that anybody wrote, with the numbers of their lines; None for a last one that is torn.

    Raises InputError, which names the file `name`, for a line that is not a JSON object, and for damaged lines.
    """
    try:
        for number, line in enumerate(lines, 1):
            if line.strip(BLANK):
                yield number, _row(line, f"{name} line {number}")
    except OutputError as error:  # a codec tells those who write what to do
        raise InputError(f"{name} is damaged, or not compressed as its suffix says ({error.__cause__}).") from error


def _row(line: bytes, where: str) -> dict[str, Json] | None:
    try:
        row = from_line(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        if line.endswith(b"\n"):
            raise InputError(f"{where} is not JSON: {error}.") from error
        return None
    if not isinstance(row, dict):
        raise InputError(f"{where} is not a JSON object.")
    return row
