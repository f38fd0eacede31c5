"""Excel: cells as people see them; a row below the header is a document, or a sheet is one.

The header is the first row with more than one filled cell (the first row at all where there is none); what stands
above it, a title say, begins every row's text. A row's text is one `column: cell` line for each filled cell, or the
cell of the column that is called like the text field. A formula that was never calculated is shown as the formula.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from extractor.data import Document, FailedDocument, Json
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.number_formats import shown
from extractor.readers._support.ooxml_package import package
from extractor.readers._support.rows import Row
from extractor.readers._support.segments import TextBuilder

SUFFIXES = (".xlsx", ".xlsm", ".xltx")
ISOLATED = True
HEADER_WITHIN = 10
NOT_UNDERSTOOD = (KeyError, ValueError, TypeError, IndexError, AttributeError)
"""What openpyxl raises for workbooks that are not as it expects them."""
NOT_CALCULATED = re.compile(rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>")


@dataclass(frozen=True, slots=True)
class Cell:
    """A filled cell: its name (`B7`), its column from 1, its text."""

    name: str
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row with something in it, as numbered in the sheet."""

    number: int
    cells: Sequence[Cell]


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """The rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    found = False
    try:
        for title, lines in _sheets(unlocked):
            for document in _documents(Sheet(file, title, sha256(data).hexdigest()), lines, options):
                found = True
                yield document
    except NOT_UNDERSTOOD as error:
        raise damaged("workbook", error) from error
    if not found:
        raise ReadError("empty", "no text: no cell is filled")


def _sheets(data: bytes) -> Iterator[tuple[str, Iterator[Line]]]:
    """Each sheet with its filled rows, which are to be taken before the next sheet is."""
    from openpyxl import load_workbook

    values = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    formulas = None
    if _has_uncalculated(data):
        formulas = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
    for sheet in values.worksheets:
        rows = _rows(sheet)
        if formulas is not None:
            rows = map(_without_gaps, rows, _rows(formulas[sheet.title]))
        yield sheet.title, _lines(rows)


def _has_uncalculated(data: bytes) -> bool:
    """Whether a library wrote formulas and nobody has opened the workbook since."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return any(NOT_CALCULATED.search(archive.read(name)) for name in names)


def _rows(sheet: Any) -> Iterator[Sequence[Any]]:
    """All cells, whatever size the sheet says that it has."""
    sheet.reset_dimensions()
    rows: Iterator[Sequence[Any]] = sheet.iter_rows()
    return rows


def _without_gaps(values: Sequence[Any], formulas: Sequence[Any]) -> Sequence[Any]:
    return [formula if value.value is None else value for value, formula in zip(values, formulas, strict=True)]


def _lines(rows: Iterable[Sequence[Any]]) -> Iterator[Line]:
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
            yield Line(number, cells)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a file, whose bytes have a hash."""

    file: File
    title: str
    sha256: str

    @property
    def id(self) -> str:
        return f"{self.file.id}#{self.title}"

    def where(self, cell: Cell) -> dict[str, Json]:
        return {"sheet": self.title, "cell": cell.name}


def _documents(sheet: Sheet, lines: Iterator[Line], options: ReadOptions) -> Iterator[Document | FailedDocument]:
    if options.rows == "whole":
        yield from _whole(sheet, lines, options.max_bytes)
        return
    first = list(itertools.islice(lines, HEADER_WITHIN))
    header = next((index for index, line in enumerate(first) if len(line.cells) > 1), 0)
    below = itertools.chain(first[header + 1 :], lines)
    row = next(below, None)
    if row is None:
        yield from _whole(sheet, iter(first), options.max_bytes)
        return
    titles = [cell for line in first[:header] for cell in line.cells]
    names = {cell.column: " ".join(cell.text.split()) for cell in first[header].cells}
    for line in itertools.chain([row], below):
        yield _row(sheet, titles, names, line, options)


def _whole(sheet: Sheet, lines: Iterable[Line], limit: int) -> Iterator[Document]:
    """A sheet as one document: rows are lines, with a tab from one column to the next."""
    pieces = TextBuilder()
    for line in lines:
        pieces.write("\n" if pieces else "")
        column = 1
        for cell in line.cells:
            pieces.write("\t" * (cell.column - column))
            pieces.place(cell.text, sheet.where(cell))
            column = cell.column
        if len(pieces) > limit:
            raise ReadError("too-large", too_large(f"the sheet {sheet.title}", limit))
    if pieces:
        named = File(sheet.id, f"{sheet.file.path}#{sheet.title}", sheet.file.open)
        yield named.document(pieces.text, sheet.sha256, segments=pieces.segments)


def _row(
    sheet: Sheet, titles: Sequence[Cell], names: dict[int, str], line: Line, options: ReadOptions
) -> Document | FailedDocument:
    by_name = {names.get(cell.column, ""): cell for cell in reversed(line.cells)}
    own_id = by_name.get(options.id_field)
    row = Row(sheet.file, f"{sheet.title}!{line.number}", None, own_id.text if own_id else None)
    pieces = TextBuilder()
    if options.text_field in names.values():
        text = by_name.get(options.text_field)
        if text:
            pieces.place(text.text, sheet.where(text))
        return row.document(pieces.text, pieces.segments)
    for cell in titles:
        pieces.line(cell.text, sheet.where(cell))
    for cell in line.cells:
        pieces.write("\n" if pieces else "")
        pieces.write(f"{names.get(cell.column) or f'column {cell.column}'}: ")
        pieces.place(cell.text, sheet.where(cell))
    return row.document(pieces.text, pieces.segments)
