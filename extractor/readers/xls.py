"""Excel before 2007 (and WPS, which writes the same): as in `xlsx`, a row below the header is a document.

Values are calamine's; number formats, what is hidden and errors are read from the records (Microsoft's MS-XLS).
"""

from __future__ import annotations

import codecs
import io
import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256

from extractor.data import Document, FailedDocument
from extractor.readers._support.calamine_sheets import ERRORS, BookScan, SheetScan, workbook
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.office_password import DEFAULT, unlocked
from extractor.readers._support.signatures import OleStream

SUFFIXES = (".xls", ".xlt", ".et", ".ett")
NAME = "an old Excel workbook"
SIGNATURES = (OleStream("Workbook"), OleStream("Book"), OleStream("WORKBOOK"), OleStream("BOOK"))
BY_CONTENT = True
ISOLATED = True
EXTRA = "docs"


BOF, EOF, FILEPASS, CODEPAGE, BOUNDSHEET, FORMAT, XF = 0x0809, 0x000A, 0x002F, 0x0042, 0x0085, 0x041E, 0x00E0
ROW, COLINFO, MERGED, BOOLERR, FORMULA, MULRK = 0x0208, 0x007D, 0x00E5, 0x0205, 0x0006, 0x00BD
NUMBERS = frozenset((0x0203, 0x027E, FORMULA))  # Number, RK, Formula
TEXTS = frozenset((0x0204, 0x00D6, 0x00FD))  # Label, RString, LabelSst
BIFF8 = 0x0600
OVERLAP = 2
"""How often, on average, a byte of the stream may belong to a sheet."""
ROW_IS_HIDDEN, COLUMN_IS_HIDDEN = 0x20, 0x01


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    digest = sha256(data).hexdigest()
    stream = _stream(data)
    if _is_encrypted(stream):
        data = unlocked(data, options.password, DEFAULT)
        stream = _stream(data)
    try:
        scan = _scan(stream)
    except (struct.error, IndexError) as error:
        raise damaged("workbook", "a record is cut off") from error
    yield from workbook(file, digest, data, scan, options).documents(options)


def _stream(data: bytes) -> bytes:
    """Return the stream of a compound file that holds the workbook."""
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            name = next(name for name in ("Workbook", "Book") if ole.exists(name))  # in any case
            return bytes(ole.openstream(name).read())
    except (OSError, StopIteration, IndexError, ValueError, struct.error) as error:
        raise damaged("workbook", error) from error


class Records:
    """The records of a substream up to its end, without those of charts inside it; `at` is how far it has been read."""

    def __init__(self, stream: bytes, at: int) -> None:
        self._stream = stream
        self.at = at

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        depth = 0
        while self.at + 4 <= len(self._stream):
            start = self.at + 4
            kind, length = struct.unpack_from("<HH", self._stream, self.at)
            self.at = start + length
            if kind in (BOF, EOF):
                depth += 1 if kind == BOF else -1
                if depth == 0:
                    return
            if depth == 1:
                yield kind, self._stream[start : self.at]


def _is_encrypted(stream: bytes) -> bool:
    """Tell whether the workbook is encrypted; msoffcrypto leaves zeros where it said so."""
    return any(kind == FILEPASS and any(body) for kind, body in Records(stream, 0))


def _scan(stream: bytes) -> BookScan:
    """Read what is wanted of the records."""
    numbers: list[int] = []
    codes: dict[int, str] = {}
    offsets: list[int] = []
    is_biff8, encoding = True, "cp1252"
    for kind, body in Records(stream, 0):
        if kind == BOF:
            is_biff8 = body[:2] == BIFF8.to_bytes(2, "little")
        elif kind == CODEPAGE:
            encoding = _codec(int.from_bytes(body[:2], "little"))
        elif kind == FORMAT:
            codes[int.from_bytes(body[:2], "little")] = _format(body[2:], is_biff8, encoding)
        elif kind == XF:
            numbers.append(int.from_bytes(body[2:4], "little"))
        elif kind == BOUNDSHEET:
            offsets.append(int.from_bytes(body[:4], "little"))
    return BookScan.of(_sheets(stream, offsets), numbers, codes)


def _sheets(stream: bytes, offsets: Sequence[int]) -> list[SheetScan]:
    """Read the sheets. Raises ReadError where they lie over one another, as no program writes them."""
    sheets, left = [], OVERLAP * len(stream)
    for offset in offsets:
        records = Records(stream, offset)
        sheets.append(_sheet(records))
        left -= records.at - offset
        if left < 0:
            raise ReadError("bomb", "its sheets lie over one another: leave the file out")
    return sheets


def _codec(code_page: int) -> str:
    """Return the encoding of texts before Excel 97; that of Windows in the West where Python has none."""
    try:
        return codecs.lookup(f"cp{code_page}").name
    except LookupError:
        return "cp1252"


def _format(body: bytes, is_biff8: bool, encoding: str) -> str:
    if not is_biff8:
        return body[1 : 1 + body[0]].decode(encoding, "replace")
    length, is_wide = int.from_bytes(body[:2], "little"), body[2] & 1
    return (
        body[3 : 3 + length * 2].decode("utf-16-le", "replace") if is_wide else body[3 : 3 + length].decode("latin-1")
    )


def _sheet(records: Records) -> SheetScan:
    sheet = SheetScan()
    for kind, body in records:
        if kind in NUMBERS or kind in TEXTS or kind == BOOLERR:
            row, column, style = struct.unpack_from("<HHH", body)
            sheet.add(row, column, style if kind in NUMBERS else -1)
            if error := _error(kind, body):
                sheet.errors[row, column] = error
        elif kind == MULRK:
            _add_numbers(sheet, body)
        elif kind == ROW and body[12] & ROW_IS_HIDDEN:
            sheet.hidden_rows.add(int.from_bytes(body[:2], "little"))
        elif kind == COLINFO and body[8] & COLUMN_IS_HIDDEN:
            sheet.hide_columns(*struct.unpack_from("<HH", body))
        elif kind == MERGED:
            ranges = struct.iter_unpack("<HHHH", body[2 : 2 + (len(body) - 2) // 8 * 8])
            sheet.merged += ((first, last, column) for first, last, column, _ in ranges)
    return sheet


def _add_numbers(sheet: SheetScan, body: bytes) -> None:
    """Note the cells of a MulRk record: the row, the first column, a style and a number each, the last column."""
    row, column = struct.unpack_from("<HH", body)
    for at in range(4, len(body) - 2, 6):
        sheet.add(row, column + (at - 4) // 6, int.from_bytes(body[at : at + 2], "little"))


def _error(kind: int, body: bytes) -> str:
    """Return the error that a cell shows: of its own, or of its formula, whose value says that it is no number."""
    if kind == BOOLERR and body[7]:
        return ERRORS.get(body[6], "")
    if kind == FORMULA and body[12:14] == b"\xff\xff" and body[6] == 2:
        return ERRORS.get(body[8], "")
    return ""
