"""Excel: cells as people see them; a row below the header is a document, or a sheet is one (`_support.sheets`).

A formula that was never calculated is shown as the formula. Strict workbooks (ISO/IEC 29500) differ from the usual ones
in the names of their namespaces alone, and are read as them.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from extractor.data import Document, FailedDocument
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import damaged
from extractor.readers._support.number_formats import shown
from extractor.readers._support.ooxml_package import ENCRYPTED, package, transitional
from extractor.readers._support.sheets import Cell, Sheet, SheetMarks, SheetRow, Workbook
from extractor.readers._support.signatures import ZipPackage

SUFFIXES = (".xlsx", ".xlsm", ".xltx", ".xltm")
NAME = "an Excel workbook"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "xl/"), without="xl/workbook.bin"), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"
NOT_UNDERSTOOD = (KeyError, ValueError, TypeError, IndexError, AttributeError, SyntaxError)
"""What openpyxl raises for workbooks that are not as it expects them; a SyntaxError is one of XML."""
HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\bhidden=.(?:1|true)\b[^<>]*>")
HIDDEN_COLUMN = re.compile(rb"<(?:\w+:)?col\s[^<>]*?\bhidden=.(?:1|true)\b[^<>]*>")
ROW_NUMBER, MIN, MAX = (re.compile(rb"\b%s=.(\d+)" % name) for name in (b"r", b"min", b"max"))
MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]*?\bref=.([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)")
# A value of a cell, with the cell's column where it begins, and the end of a row.
FILLED = re.compile(rb"<(?:\w+:)?c\s[^<>]*?\br=.([A-Z]{1,3})\d+[^<>]*(?<!/)>\s*<")
VALUE_OR_END = re.compile(rb"<(?:(?:\w+:)?(v|is)\b|/(?:\w+:)?row>)")
LAST_COLUMN = 16_384
# The end of a formula in a cell (`<c>`) whose value (`<v>`) is empty or missing, whatever the prefix of the namespace.
UNCALCULATED = re.compile(rb"</(?:\w+:)?f>\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>")


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    try:
        yield from _workbook(file, sha256(data).hexdigest(), transitional(unlocked), options).documents(options)
    except NOT_UNDERSTOOD as error:
        raise damaged("workbook", error) from error


def _workbook(file: File, digest: str, data: bytes, options: ReadOptions) -> Workbook:
    from openpyxl import load_workbook

    values = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    formulas = None
    if _has_uncalculated(data):
        formulas = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
    hidden = [sheet.title for sheet in values.worksheets if sheet.sheet_state != "visible" and not options.hidden]
    shown_ones = [sheet for sheet in values.worksheets if sheet.title not in hidden]
    return Workbook(file, digest, [_sheet(data, sheet, formulas, options) for sheet in shown_ones], hidden)


def _sheet(data: bytes, sheet: Any, formulas: Any, options: ReadOptions) -> Sheet:
    """Return a sheet, whose rows are read when they are taken."""
    part = _part(data, sheet)
    marks = _marks(part, options)
    rows = _filled_rows(_cells(sheet, None if formulas is None else formulas[sheet.title]))
    return Sheet(sheet.title, rows, marks, _hidden_rows(part, options), _hidden_columns(part, marks))


def _has_uncalculated(data: bytes) -> bool:
    """Return whether a library wrote formulas and nobody has opened the workbook since."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return any(UNCALCULATED.search(archive.read(name)) for name in names)


def _part(data: bytes, sheet: Any) -> bytes:
    """Return the XML of a sheet, of which openpyxl leaves out most where it reads row by row."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(sheet._worksheet_path)


def _cells(sheet: Any, formulas: Any) -> Iterator[Sequence[Any]]:
    """Yield all cells row by row, whatever size the sheet says it has; those without a value with their formula."""
    sheet.reset_dimensions()
    if formulas is None:
        yield from sheet.iter_rows()
        return
    formulas.reset_dimensions()
    for values, others in zip(sheet.iter_rows(), formulas.iter_rows(), strict=False):
        yield [other if value.value is None else value for value, other in zip(values, others, strict=True)]


def _filled_rows(rows: Iterable[Sequence[Any]]) -> Iterator[SheetRow]:
    from openpyxl.utils.escape import unescape

    for number, row in enumerate(rows, 1):
        texts = ("" if cell.value is None else shown(cell.value, cell.number_format) for cell in row)
        cells = [Cell.at(number, column, unescape(text)) for column, text in enumerate(texts, 1) if text.strip()]
        if cells:
            yield SheetRow(number, cells)


def _marks(part: bytes, options: ReadOptions) -> SheetMarks:
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
    return SheetMarks(frozenset(rows), frozenset(columns), merged)


def _hidden_rows(part: bytes, options: ReadOptions) -> int:
    """Count the hidden rows that hold a value: sheets hide all that are not used as well."""
    if options.hidden:
        return 0
    rows = list(HIDDEN_ROW.finditer(part))
    ends = [*(row.start() for row in rows[1:]), len(part)]  # none is looked for beyond the next row
    found = (VALUE_OR_END.search(part, row.end(), end) for row, end in zip(rows, ends, strict=False) if _is_open(row))
    return sum(bool(value and value[1]) for value in found)


def _is_open(element: re.Match[bytes]) -> bool:
    return not element[0].endswith(b"/>")


def _hidden_columns(part: bytes, marks: SheetMarks) -> int:
    """Count the hidden columns that hold a value."""
    from openpyxl.utils import column_index_from_string

    if not marks.columns:
        return 0
    filled = {found[1] for found in FILLED.finditer(part)}
    return sum(column_index_from_string(letters.decode()) in marks.columns for letters in filled)
