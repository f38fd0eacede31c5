"""The binary workbooks of Excel through calamine, which gives the values of all cells, sheet by sheet.

It gives neither number formats nor what a sheet hides of itself; those are in a `SheetScan` of the sheet's records.
"""

from __future__ import annotations

import datetime
import io
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.number_formats import shown
from extractor.readers._support.sheets import Cell, Sheet, SheetMarks, SheetRow, Workbook

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

    Value = int | float | str | bool | datetime.time | datetime.date | datetime.timedelta

CELLS = 64 << 20
"""How many cells a workbook may span, filled or not: calamine holds some 50 bytes for each."""
SPLIT = "save it as .xlsx, or leave it out"
ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
"""Section 2.5.10 of Microsoft's MS-XLS."""
BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 14: "mm-dd-yy",
    15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss",
    22: "m/d/yy h:mm", 37: "#,##0_);(#,##0)", 38: "#,##0_);(#,##0)", 39: "#,##0.00_);(#,##0.00)",
    40: "#,##0.00_);(#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 49: "@",
}  # fmt: skip
"""Number formats that a file names by number alone: section 18.8.30 of ECMA-376 part 1."""
EAST_ASIAN = {
    27: 'yyyy"年"m"月"', 28: 'm"月"d"日"', 29: 'm"月"d"日"', 30: "m-d-yy", 31: 'yyyy"年"m"月"d"日"', 32: 'h"时"mm"分"',
    33: 'h"时"mm"分"ss"秒"', 36: 'yyyy"年"m"月"', 50: 'yyyy"年"m"月"', 51: 'm"月"d"日"', 52: 'yyyy"年"m"月"',
    53: 'm"月"d"日"', 54: 'm"月"d"日"', 57: 'yyyy"年"m"月"', 58: 'm"月"d"日"',
}  # fmt: skip
"""The same for Chinese Excel. Libraries do not know them as dates."""
EPOCH, LAST_DAY = datetime.datetime(1899, 12, 30), 2_958_466
LAST_COLUMN = 16_383
PLAIN = {datetime.timedelta: "[h]:mm:ss", datetime.time: "hh:mm:ss"}
"""The formats of values whose own says nothing; dates are shown as in ISO 8601, numbers with all digits."""


@dataclass(slots=True)
class SheetScan:
    """What the records of a sheet say that calamine does not give, as it is found; rows and columns are from 0.

    `styles` holds for each cell of a number the index of its style, plus 1, row by row. `filled_rows` and
    `filled_columns` are those with a value.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int]] = field(default_factory=list)
    styles: dict[int, array[int]] = field(default_factory=dict)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    filled_rows: set[int] = field(default_factory=set)
    filled_columns: set[int] = field(default_factory=set)

    def add(self, row: int, column: int, style: int = -1) -> None:
        """Note a cell with a value, and its style where that may be a number's. Raises ValueError for no such cell."""
        if column > LAST_COLUMN:
            raise ValueError(f"column {column}")
        self.filled_rows.add(row)
        self.filled_columns.add(column)
        if style >= 0:
            styles = self.styles.setdefault(row, array("H"))
            styles.extend([0] * (column + 1 - len(styles)))
            styles[column] = min(style + 1, 0xFFFF)

    def style(self, row: int, column: int) -> int:
        """Return the style of a cell; -1 where it has none."""
        styles = self.styles.get(row, ())
        return styles[column] - 1 if column < len(styles) else -1

    @property
    def span(self) -> int:
        """How many cells there are between the first and the last that have a value."""
        if not self.filled_rows:
            return 0
        rows, columns = (max(each) - min(each) + 1 for each in (self.filled_rows, self.filled_columns))
        return rows * columns

    def hide_columns(self, first: int, last: int) -> None:
        """Note that columns are hidden; the same again, however often, costs nothing."""
        last = min(last, LAST_COLUMN)
        if not {first, last} <= self.hidden_columns:
            self.hidden_columns.update(range(first, last + 1))


@dataclass(frozen=True, slots=True)
class BookScan:
    """The scans of the sheets in the order of the workbook, and the number format of each style."""

    sheets: Sequence[SheetScan]
    formats: Sequence[str]

    @classmethod
    def of(cls, sheets: Sequence[SheetScan], numbers: Sequence[int], codes: Mapping[int, str]) -> BookScan:
        """Return the scan of a workbook: the number of each style's format, and the formats that the file names."""
        known = {**BUILT_IN, **EAST_ASIAN, **codes}
        return cls(sheets, [known.get(number, "") for number in numbers])

    def format_of(self, sheet: SheetScan, row: int, column: int) -> str:
        """Return the number format of a cell; empty where it has none."""
        style = sheet.style(row, column)
        return self.formats[style] if 0 <= style < len(self.formats) else ""


def workbook(file: File, digest: str, data: bytes, scan: BookScan, options: ReadOptions) -> Workbook:
    """Return the sheets of a workbook. Raises ReadError."""
    if sum(sheet.span for sheet in scan.sheets) > CELLS:
        raise ReadError("bomb", f"sheets span more than {CELLS:,} cells from the first to the last filled one: {SPLIT}")
    book = _open(data)
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets, hidden = [], []
    for number, each in enumerate(book.sheets_metadata):
        if each.visible != SheetVisibleEnum.Visible and not options.hidden:
            hidden.append(each.name)
        elif each.typ == SheetTypeEnum.WorkSheet:
            found = scan.sheets[number] if number < len(scan.sheets) else SheetScan()
            rows = _rows(book, number, scan, found)
            sheets.append(Sheet(each.name, rows, *_marks(found, options)))
    return Workbook(file, digest, sheets, hidden)


def _open(data: bytes) -> CalamineWorkbook:
    from python_calamine import CalamineError, PasswordError, load_workbook

    try:
        return load_workbook(io.BytesIO(data))
    except PasswordError as error:
        raise ReadError("locked", "the workbook is encrypted: save it unlocked") from error
    except (CalamineError, OSError) as error:
        raise damaged("workbook", error) from error
    except BaseException as error:
        raise _panic(error) from error


def _panic(error: BaseException) -> BaseException:
    """Return what to raise for a panic of Rust code, which is no Exception and has no type that can be imported."""
    if type(error).__name__ != "PanicException":
        return error
    return ReadError("damaged", f"the library for such workbooks gives up on it ({error}): save it as .xlsx")


def _marks(sheet: SheetScan, options: ReadOptions) -> tuple[SheetMarks, int, int]:
    """Return the marks of a sheet, and how many filled rows and columns it hides."""
    merged = {}
    for first, last, column in sheet.merged if options.rows == "split" else ():
        if last > first:
            merged[first + 1, column + 1] = last + 1
    if options.hidden:
        return SheetMarks(merged=merged), 0, 0
    rows, columns = sheet.hidden_rows & sheet.filled_rows, sheet.hidden_columns & sheet.filled_columns
    marks = SheetMarks(frozenset(row + 1 for row in rows), frozenset(column + 1 for column in columns), merged)
    return marks, len(rows), len(columns)


def _rows(book: CalamineWorkbook, number: int, scan: BookScan, sheet: SheetScan) -> Iterator[SheetRow]:
    for row, values in enumerate(_values(book, number)):
        cells = []
        for column, value in enumerate(values):
            if value == "" and sheet.errors:
                value = sheet.errors.get((row, column), "")
            text = value if isinstance(value, str) else _shown(value, scan.format_of(sheet, row, column))
            if text and not text.isspace():
                cells.append(Cell.at(row + 1, column + 1, text))
        if cells:
            yield SheetRow(row + 1, cells)


def _values(book: CalamineWorkbook, number: int) -> Iterator[list[Value]]:
    from python_calamine import CalamineError

    try:
        yield from book.get_sheet_by_index(number).iter_rows()
    except (CalamineError, OSError) as error:
        raise damaged("workbook", error) from error
    except BaseException as error:
        raise _panic(error) from error


def _shown(value: Value, code: str) -> str:
    """Return a value as people see it. Whole numbers come as floats, which is all that the files have."""
    if isinstance(value, int | float) and code in EAST_ASIAN.values() and 0 <= value < LAST_DAY:
        value = EPOCH + datetime.timedelta(days=value)
    if not code or code == "General":
        code = PLAIN.get(type(value), code)
    return shown(value, code)
