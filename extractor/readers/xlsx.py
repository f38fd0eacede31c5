"""Excel: cells as people see them; a row below the header is a document, or a sheet is one.

The header is the first row with more than one filled cell (the first row where there is none); what is above it, such
as a title, begins every row's text. A row's text is one `column: cell` line for each filled cell, or the cell of the
column that has the name of the text field. A formula that was never calculated is shown as the formula.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from extractor.data import Document, FailedDocument, Json
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import Bomb, ReadError, damaged
from extractor.readers._support.number_formats import shown
from extractor.readers._support.ooxml_package import ENCRYPTED, package
from extractor.readers._support.rows import FileRow
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import ZipPackage

SUFFIXES = (".xlsx", ".xlsm", ".xltx")
NAME = "an Excel workbook"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "xl/"), without="xl/workbook.bin"), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"
HEADER_WITHIN = 10
"""Rows of a sheet among which the header is looked for."""
NOT_UNDERSTOOD = (KeyError, ValueError, TypeError, IndexError, AttributeError, SyntaxError)
"""What openpyxl raises for workbooks that are not as it expects them; a SyntaxError is one of XML."""
# The end of a formula in a cell (`<c>`) whose value (`<v>`) is empty or missing, whatever the prefix of the namespace.
HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\bhidden=.(?:1|true)\b[^<>]*>")
HIDDEN_COLUMN = re.compile(rb"<(?:\w+:)?col\s[^<>]*?\bhidden=.(?:1|true)\b[^<>]*>")
ROW_NUMBER, MIN, MAX = (re.compile(rb"\b%s=.(\d+)" % name) for name in (b"r", b"min", b"max"))
MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]*?\bref=.([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)")
LAST_COLUMN = 16_384
MERGED_CELLS = 1_000_000
"""How many cells of a sheet may be filled from merged ones above them."""
UNCALCULATED = re.compile(rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>")


@dataclass(frozen=True, slots=True)
class Cell:
    """A filled cell: its name (`B7`), its column from 1, its text."""

    name: str
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row with a filled cell, as numbered in the sheet."""

    number: int
    cells: Sequence[Cell]


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    found = False
    try:
        for title, rows in _sheets(unlocked, options):
            for document in _documents(Sheet(file, title, sha256(data).hexdigest()), rows, options):
                found = True
                yield document
    except NOT_UNDERSTOOD as error:
        raise damaged("workbook", error) from error
    if not found:
        raise ReadError("empty", "no text: no cell is filled and shown (what is hidden: --hidden)")


def _sheets(data: bytes, options: ReadOptions) -> Iterator[tuple[str, Iterator[SheetRow]]]:
    """Yield the title and the filled rows of each sheet; rows are to be taken before the next sheet is."""
    from openpyxl import load_workbook

    values = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    formulas = None
    if _has_uncalculated(data):
        formulas = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
    for sheet in values.worksheets:
        if sheet.sheet_state != "visible" and not options.hidden:
            continue
        rows = _cells(sheet)
        if formulas is not None:
            rows = map(_with_formulas, rows, _cells(formulas[sheet.title]))
        marks = SheetMarks.of(_part(data, sheet), options)
        yield sheet.title, marks.spread(_filled_rows(rows))


def _has_uncalculated(data: bytes) -> bool:
    """Return whether a library wrote formulas and nobody has opened the workbook since."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return any(UNCALCULATED.search(archive.read(name)) for name in names)


def _part(data: bytes, sheet: Any) -> bytes:
    """Return the XML of a sheet, of which openpyxl leaves out most where it reads row by row."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(sheet._worksheet_path)


def _cells(sheet: Any) -> Iterator[Sequence[Any]]:
    """Yield all cells row by row, whatever size the sheet says that it has."""
    sheet.reset_dimensions()
    rows: Iterator[Sequence[Any]] = sheet.iter_rows()
    return rows


def _with_formulas(values: Sequence[Any], formulas: Sequence[Any]) -> Sequence[Any]:
    """Return the cells of a row, those without a value with their formula."""
    return [formula if value.value is None else value for value, formula in zip(values, formulas, strict=True)]


def _filled_rows(rows: Iterable[Sequence[Any]]) -> Iterator[SheetRow]:
    from openpyxl.utils import get_column_letter
    from openpyxl.utils.escape import unescape

    for number, row in enumerate(rows, 1):
        cells = []
        for column, cell in enumerate(row, 1):
            text = "" if cell.value is None else shown(cell.value, cell.number_format)
            if text.strip():
                name = f"{get_column_letter(column)}{number}"
                cells.append(Cell(name, column, unescape(text).replace("\r\n", "\n").strip()))
        if cells:
            yield SheetRow(number, cells)


@dataclass(frozen=True, slots=True)
class SheetMarks:
    """What a sheet hides, by numbers from 1, and which cells it merges: the first cell's column by row and column, with
    the last row."""

    rows: frozenset[int]
    columns: frozenset[int]
    merged: Mapping[tuple[int, int], int]

    @classmethod
    def of(cls, part: bytes, options: ReadOptions) -> SheetMarks:
        """Read the marks of a sheet's XML. Merged cells count where each row is a document of its own."""
        from openpyxl.utils import column_index_from_string

        rows: set[int] = set()
        columns: set[int] = set()
        if not options.hidden:
            for row in HIDDEN_ROW.finditer(part):
                rows.update(int(number[1]) for number in [ROW_NUMBER.search(row[0])] if number)
            for column in HIDDEN_COLUMN.finditer(part):
                first, last = (int(found[1]) if (found := edge.search(column[0])) else 0 for edge in (MIN, MAX))
                last = min(last, LAST_COLUMN)
                if not {first, last} <= columns:  # the same again, however often, costs nothing
                    columns.update(range(first, last + 1))
        merged = {}
        for found in MERGED.finditer(part) if options.rows == "split" else ():
            first, last = int(found[2]), int(found[4])
            if last > first:
                merged[first, column_index_from_string(found[1].decode())] = last
        return cls(frozenset(rows), frozenset(columns), merged)

    def spread(self, rows: Iterable[SheetRow]) -> Iterator[SheetRow]:
        """Yield the rows that are shown, each with the cells that are merged over it from above. Raises Bomb."""
        above: dict[int, tuple[Cell, int]] = {}
        left = MERGED_CELLS
        for row in rows:
            own = {cell.column: cell for cell in row.cells}
            above = {column: (cell, last) for column, (cell, last) in above.items() if last >= row.number}
            from_above = {column: cell for column, (cell, _) in above.items() if column not in own}
            left -= len(from_above)
            if left < 0:
                raise Bomb(f"merged cells of the workbook reach more than {MERGED_CELLS:,} others")
            for column, cell in own.items():
                if last := self.merged.get((row.number, column)):
                    above[column] = cell, last
            cells = [cell for column, cell in sorted((own | from_above).items()) if column not in self.columns]
            if cells and row.number not in self.rows:
                yield SheetRow(row.number, cells)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a file, whose bytes have a hash."""

    file: File
    title: str
    sha256: str

    @property
    def id(self) -> str:
        return f"{self.file.id}#{self.title}"

    def location(self, cell: Cell) -> dict[str, Json]:
        """Return where a cell is in the file."""
        return {"sheet": self.title, "cell": cell.name}


def _documents(sheet: Sheet, rows: Iterator[SheetRow], options: ReadOptions) -> Iterator[Document | FailedDocument]:
    if options.rows == "whole":
        yield from _whole(sheet, rows, options.max_bytes)
        return
    first = list(itertools.islice(rows, HEADER_WITHIN))
    header = next((index for index, row in enumerate(first) if len(row.cells) > 1), 0)
    below = itertools.chain(first[header + 1 :], rows)
    row = next(below, None)
    if row is None:
        yield from _whole(sheet, iter(first), options.max_bytes)
        return
    titles = [cell for above in first[:header] for cell in above.cells]
    names = {cell.column: " ".join(cell.text.split()) for cell in first[header].cells}
    for each in itertools.chain([row], below):
        yield _row_document(sheet, titles, names, each, options)


def _whole(sheet: Sheet, rows: Iterable[SheetRow], limit: int) -> Iterator[Document]:
    """Yield a sheet as one document: rows are lines, with a tab from one column to the next."""
    builder = TextBuilder()
    for row in rows:
        builder.write("\n" if builder else "")
        column = 1
        for cell in row.cells:
            builder.write("\t" * (cell.column - column))
            builder.add(cell.text, sheet.location(cell))
            column = cell.column
        if len(builder) > limit:
            raise ReadError("too-large", too_large(f"the sheet {sheet.title}", limit))
    if builder:
        named = File(sheet.id, f"{sheet.file.path}#{sheet.title}", sheet.file.open)
        yield named.document(builder.text, sheet.sha256, segments=builder.segments)


def _row_document(
    sheet: Sheet, titles: Sequence[Cell], names: dict[int, str], row: SheetRow, options: ReadOptions
) -> Document | FailedDocument:
    """Return the document of a row; `names` are those of the columns, `titles` the cells above the header."""
    by_name = {names.get(cell.column, ""): cell for cell in reversed(row.cells)}
    own_id = by_name.get(options.id_field)
    file_row = FileRow(sheet.file, f"{sheet.title}!{row.number}", None, own_id.text if own_id else None)
    builder = TextBuilder()
    if options.text_field in names.values():
        text = by_name.get(options.text_field)
        if text:
            builder.add(text.text, sheet.location(text))
        return file_row.document(builder.text, builder.segments)
    for cell in titles:
        builder.add_line(cell.text, sheet.location(cell))
    for cell in row.cells:
        builder.write("\n" if builder else "")
        builder.write(f"{names.get(cell.column) or f'column {cell.column}'}: ")
        builder.add(cell.text, sheet.location(cell))
    return file_row.document(builder.text, builder.segments)
