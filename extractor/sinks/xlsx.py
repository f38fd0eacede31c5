"""Excel workbooks: the columns of `columns`, a document or a value a row. Rows are folded into the file at the end of a
run (`folded_table`).

Text is text: no cell is ever a formula. What a cell cannot hold is never cut off: rows beyond those of a sheet go on in
another one (`records 2`), the text of a cell beyond 32,767 characters is in the sheet `long`, whole numbers of more
digits than Excel keeps are text, and characters that XML does not have are written as the format escapes them
(`_x0007_`).
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from extractor.data import Json
from extractor.errors import InputError, OutputError, UsageError
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.sinks._support.columns import Columns
from extractor.sinks._support.folded_table import BESIDE, FoldedTable, Stored, has_file, read_open_rows
from extractor.sinks._support.stored_rows import stored_row
from extractor.storage import atomic_files
from extractor.storage.resumable_file import ResumableSink
from extractor.storage.resume import ADVICE, RowSummary, foreign, other_rows
from extractor.storage.rows import from_line

if TYPE_CHECKING:
    from openpyxl import Workbook

__all__ = ["BESIDE", "SUFFIXES", "open_sink", "read_rows"]

SUFFIXES = (".xlsx",)
SHEETS = ("records", "entities")
LONG = "long"
LONG_HEADER = ("sheet", "row", "column", "part", "text")
PART = re.compile(r"(?s)(?:_x[0-9A-F]{4}_|.){1,4096}")
"""Of an escaped text: what fits in one cell, however much of it is escaped."""

MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384
LONGEST_CELL = 32_767
"""In UTF-16 units, as Excel counts."""
MOST_DIGITS = 15
"""Of a number: Excel keeps no more."""

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_INSTALL = "Workbooks need the package openpyxl: pip install 'chatglm3-extractor[docs]'"

Place = tuple[str, int, int]
"""Of a cell: sheet, row and column, from 1."""


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return a resumable file. Raises UsageError where openpyxl is missing, or for more fields than a sheet has
    columns."""
    try:
        import openpyxl  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(_INSTALL) from error
    table = XlsxTable(path, options)
    if len(table.columns.types) > MOST_COLUMNS:
        raise UsageError(f"A sheet has {MOST_COLUMNS:,} columns, the schema needs more: use .jsonl or .parquet.")
    return ResumableSink(path, options, table)


def read_rows(path: str) -> Rows:
    """Yield the rows of a file, then those beside it that a killed run has left. Raises InputError."""
    number = 0
    try:
        if has_file(path):
            for number, row in enumerate(_read(path), 1):
                yield number, stored_row(row, f"{path} row {number}")
        yield from read_open_rows(path, number)
    except ModuleNotFoundError as error:
        raise InputError(_INSTALL) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except NotResults as error:
        raise InputError(f"{path} is not a workbook of results ({error}).") from error


class NotResults(Exception):
    """A file is no workbook, is damaged, or holds sheets that this program did not write."""


class XlsxTable(FoldedTable):
    """Rows of sheets."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        super().__init__(path, options)
        self.columns = Columns.of(options)

    def stored(self, *, summaries: bool) -> Iterator[Stored]:
        if not os.path.exists(self._path) or not os.path.getsize(self._path):
            return
        try:
            for row in _read(self._path):
                if (list(row)[2:3] == ["row"]) != self._options.flatten:
                    raise other_rows(self._path, self._options.flatten)
                yield row
        except NotResults as error:
            message = f"{self._path} is not a workbook of results ({error}); it was not changed. {ADVICE}"
            raise OutputError(message) from error

    def summary(self, row: Stored) -> RowSummary:
        try:
            return RowSummary.from_columns(row)
        except (KeyError, TypeError, ValueError) as error:
            raise foreign(self._path, "A row") from error

    def convert(self, line: bytes) -> Stored:
        return dict(zip(self.columns.types, self.columns.cells(from_line(line)), strict=True))

    def write(self, documents: Iterable[list[Stored]]) -> None:
        """Write one file. Sheets go through temporary files, so that no more than a row is in memory."""
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheets = Sheets(book, SHEETS[self._options.flatten], list(self.columns.types))
        for rows in documents:
            for row in rows:
                sheets.append([_number(type, row.get(name)) for name, type in self.columns.types.items()])
        with atomic_files.replacing(self._path) as stream:
            book.save(stream)


class Sheets:
    """The sheets of a new workbook: one after the other for rows, and one for the text of long cells."""

    def __init__(self, book: Workbook, name: str, header: Sequence[str]) -> None:
        self._book = book
        self._name = name
        self._header = header
        self._begin()

    def _begin(self) -> None:
        count = sum(title.startswith(self._name) for title in self._book.sheetnames)
        self._sheet = self._book.create_sheet(f"{self._name} {count + 1}" if count else self._name, index=count)
        self._sheet.freeze_panes = "B2"
        self._rows = 0
        self._write(self._header)

    def append(self, cells: Sequence[Json]) -> None:
        """Add a row, in another sheet where one is full."""
        if self._rows == MOST_ROWS:
            self._begin()
        self._write(cells)

    def _write(self, cells: Sequence[Json]) -> None:
        self._rows += 1
        self._sheet.append([self._cell(value, column) for column, value in enumerate(cells, 1)])

    def _cell(self, value: Json, column: int) -> Any:
        if value is None or value == "":
            return None
        if (isinstance(value, float) and isfinite(value)) or (isinstance(value, int) and abs(value) < 10**MOST_DIGITS):
            return value
        text = escape(value if isinstance(value, str) else str(value))
        if len(text) * 2 > LONGEST_CELL and len(text.encode("utf-16-le")) // 2 > LONGEST_CELL:
            self._put_aside(text, column)
            text = f"[{len(value):,} characters: in the sheet {LONG}]"
        return _text_cell(self._sheet, text)

    def _put_aside(self, text: str, column: int) -> None:
        if LONG not in self._book.sheetnames:
            self._book.create_sheet(LONG).append(LONG_HEADER)
        sheet = self._book[LONG]
        for number, part in enumerate(PART.findall(text), 1):
            sheet.append([self._sheet.title, self._rows, column, number, _text_cell(sheet, part)])


def _number(type: str, value: Json) -> Json:
    """Return a plain number that is text as a number, where Excel keeps every digit of it."""
    is_text = type == "decimal" and isinstance(value, str)
    return float(value) if is_text and sum(map(str.isdecimal, value)) <= MOST_DIGITS else value


def _text_cell(sheet: Any, text: str) -> Any:
    """Return a cell that is text now and after somebody has edited it, whatever it begins with."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def escape(text: str) -> str:
    """Return a text as the format has it: characters that XML has not, and what looks like one of these, as `_x0007_`.
    A carriage return is among them: XML makes a line feed of it."""
    return _NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescape(text: str) -> str:
    """Return the text that `escape` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _read(path: str) -> Iterator[Stored]:
    """Yield the rows of the sheets of a file by column, in order. Raises NotResults, OSError."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with open(path, "rb") as stream:
            book = load_workbook(stream, read_only=True)
            if strange := [name for name in book.sheetnames if name != LONG and not _is_ours(name)]:
                raise NotResults(f"the sheet {strange[0]!r} is not of a run")
            long = _long_texts(book)
            for sheet in (sheet for sheet in book.worksheets if sheet.title != LONG):
                yield from _read_sheet(sheet, long)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, TypeError, SyntaxError) as error:
        raise NotResults(f"{type(error).__name__}: {error}") from error


def _is_ours(title: str) -> bool:
    return re.fullmatch(rf"(?:{'|'.join(SHEETS)})(?: \d+)?", title) is not None


def _read_sheet(sheet: Any, long: Mapping[Place, str]) -> Iterator[Stored]:
    header: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        row = [long.get((sheet.title, number, column), value) for column, value in enumerate(cells, 1)]
        values = [unescape(value) if isinstance(value, str) else value for value in row]
        if number == 1:
            header = [str(value) for value in values]
            if header[:2] != ["id", "status"]:
                raise NotResults("the first row does not name the columns of a run")
        elif any(value is not None for value in values):
            yield dict.fromkeys(header) | dict(zip(header, values, strict=False))


def _long_texts(book: Workbook) -> dict[Place, str]:
    """Return the text of long cells by their place."""
    texts: dict[Place, str] = {}
    if LONG in book.sheetnames:
        for sheet, row, column, _, text in book[LONG].iter_rows(min_row=2, max_col=len(LONG_HEADER), values_only=True):
            texts[sheet, row, column] = texts.get((sheet, row, column), "") + (text or "")
    return texts
