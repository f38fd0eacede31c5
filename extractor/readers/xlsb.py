"""Binary Excel workbooks: as in `xlsx`, a row below the header is a document.

Values are calamine's; number formats, what is hidden or merged and errors are read from the records (MS-XLSB).
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
from collections.abc import Iterator
from hashlib import sha256

from extractor.data import Document, FailedDocument
from extractor.readers._support.calamine_sheets import ERRORS, BookScan, SheetScan, workbook
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import damaged
from extractor.readers._support.ooxml_package import ENCRYPTED, Parts, package
from extractor.readers._support.signatures import ZipPackage

SUFFIXES = (".xlsb",)
NAME = "a binary Excel workbook"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "xl/workbook.bin")), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"
BOOK = "xl/workbook.bin"

ROW_HEADER, CELL_ERROR, FORMULA_ERROR, FORMAT, XF, COLUMN, SHEET, MERGED = 0, 3, 11, 44, 47, 60, 156, 176
BEGIN_CELL_STYLES, END_CELL_STYLES = 617, 618
NUMBERS = frozenset((2, 5, 9))  # BrtCellRk, BrtCellReal, BrtFmlaNum
VALUES = frozenset(range(2, 12))
ROW_IS_HIDDEN, COLUMN_IS_HIDDEN = 0x10, 0x01
LAST_ROW = 1_048_575


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    try:
        with zipfile.ZipFile(io.BytesIO(unlocked)) as archive:
            scan = _scan(archive)
    except (struct.error, KeyError, IndexError, ValueError) as error:
        raise damaged("workbook", error) from error
    yield from workbook(file, sha256(data).hexdigest(), unlocked, scan, options).documents(options)


def _scan(archive: zipfile.ZipFile) -> BookScan:
    parts = Parts(archive, "workbook").targets(BOOK)
    sheets, names = [], []
    for kind, body in _records(archive.read(BOOK)):
        if kind == SHEET:
            name = parts.get(_text(body, 8)[0], "")
            sheets.append(_sheet(archive.read(name)) if name else SheetScan())
            names.append(name)
    if len(set(names)) < len(names):
        raise ValueError("two sheets are one part")
    styles = next((name for name in parts.values() if posixpath.basename(name) == "styles.bin"), None)
    return BookScan.of(sheets, *_styles(archive.read(styles) if styles else b""))


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a part: their kind and their size are numbers of seven bits a byte."""
    at = 0
    while at < len(data):
        kind = data[at]
        at += 1
        if kind & 0x80 and at < len(data):
            kind = kind & 0x7F | (data[at] & 0x7F) << 7
            at += 1
        size = shift = 0
        for byte in data[at : at + 4]:
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, data[at : at + size]
        at += size


def _text(body: bytes, at: int) -> tuple[str, int]:
    """Return a string, which is its length and as many characters of UTF-16, and where it ends."""
    (length,) = struct.unpack_from("<I", body, at)
    end = at + 4 + (0 if length == 0xFFFFFFFF else length * 2)
    return body[at + 4 : end].decode("utf-16-le", "replace"), end


def _styles(data: bytes) -> tuple[list[int], dict[int, str]]:
    """Return the number of the format of each style of cells, and the formats that the file names."""
    numbers: list[int] = []
    codes: dict[int, str] = {}
    of_cells = False
    for kind, body in _records(data):
        if kind in (BEGIN_CELL_STYLES, END_CELL_STYLES):
            of_cells = kind == BEGIN_CELL_STYLES
        elif kind == FORMAT:
            codes[int.from_bytes(body[:2], "little")] = _text(body, 2)[0]
        elif kind == XF and of_cells:
            numbers.append(int.from_bytes(body[2:4], "little"))
    return numbers, codes


def _sheet(data: bytes) -> SheetScan:
    sheet = SheetScan()
    row = 0
    for kind, body in _records(data):
        if kind == ROW_HEADER:
            row = int.from_bytes(body[:4], "little")
            if row > LAST_ROW:
                raise ValueError(f"row {row}")
            if body[11] & ROW_IS_HIDDEN:
                sheet.hidden_rows.add(row)
        elif kind in VALUES:
            column, style = struct.unpack_from("<II", body)
            sheet.add(row, column, style & 0xFFFFFF if kind in NUMBERS else -1)
            if kind in (CELL_ERROR, FORMULA_ERROR):
                sheet.errors[row, column] = ERRORS.get(body[8], "")
        elif kind == COLUMN and body[16] & COLUMN_IS_HIDDEN:
            sheet.hide_columns(*struct.unpack_from("<II", body))
        elif kind == MERGED:
            first, last, column = struct.unpack_from("<III", body)
            sheet.merged.append((first, last, column))
    return sheet
