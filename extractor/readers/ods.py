"""OpenDocument spreadsheets: as in `xlsx`, a row below the header is a document.

Cells hold the text that they show, in their number format, so it is read and nothing is formatted here. The XML is read
row by row, twice: what a sheet hides has to be known before its first row.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from extractor.data import Document, FailedDocument
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.open_document import CONTENT, Inline, open_document, repeated
from extractor.readers._support.sheets import Cell, Sheet, SheetMarks, SheetRow, Workbook
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.xml_tree import Element, attribute, name_of
from extractor.readers._support.zip_package import BROKEN, Package

SUFFIXES = (".ods", ".ots")
NAME = "an OpenDocument spreadsheet"
SIGNATURES = (
    ZipPackage(("content.xml", "META-INF/manifest.xml"), mimetype="application/vnd.oasis.opendocument.spreadsheet"),
)
ISOLATED = True
EXTRA = "docs"
COLUMNS, ROWS = "number-columns-repeated", "number-rows-repeated"
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
REPEATED_CELLS = 1_000_000
"""How many filled cells of a workbook may be written once and shown again."""
HIDDEN = ("collapse", "filter")


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows or sheets that have text. Raises OSError where the file cannot be opened, ReadError otherwise."""
    package = open_document(file, "OpenDocument spreadsheet", options)
    tables = _tables(package)
    stream = RowStream(OdsParser(package).rows())
    sheets = [table.sheet(stream.of(number), options) for number, table in enumerate(tables)]
    shown = [sheet for sheet, table in zip(sheets, tables, strict=True) if table.is_shown or options.hidden]
    hidden = [table.title for table in tables if not (table.is_shown or options.hidden)]
    yield from Workbook(file, package.sha256, shown, hidden).documents(options)


@dataclass(frozen=True, slots=True)
class OdsCell:
    """A filled cell as it is written: its column from 1, in how many it is shown, its text, and its last row."""

    column: int
    repeated: int
    text: str
    last_row: int


@dataclass(frozen=True, slots=True)
class OdsRow:
    """A row as it is written: in which table, its number from 1, in how many rows it is shown, its filled cells."""

    table: int
    number: int
    repeated: int
    is_hidden: bool
    cells: tuple[OdsCell, ...]


class OdsParser:
    """One way through the content: its rows, and the titles, visibility and hidden columns of the tables met so far.

    Hidden columns are bits of an integer: a file can declare many tables, each with all its columns hidden.
    """

    def __init__(self, package: Package) -> None:
        self._package = package
        self._hidden_styles: set[str] = set()
        self._row = self._column = 1
        self._left = REPEATED_CELLS
        self.titles: list[str] = []
        self.shown: list[bool] = []
        self.hidden_columns: list[int] = []

    def rows(self) -> Iterator[OdsRow]:
        """Yield the rows that have a filled cell. Raises ReadError."""
        from lxml import etree

        if CONTENT not in self._package:
            raise damaged(self._package.what, f"{CONTENT} is missing")
        depth = 0
        try:
            with self._package.archive.open(CONTENT) as stream:
                parsed = etree.iterparse(
                    stream, events=("start", "end"), resolve_entities=False, no_network=True, remove_comments=True
                )
                for event, element in parsed:
                    name = name_of(element)
                    if name == "table":
                        depth += 1 if event == "start" else -1
                        if event == "start" and depth == 1:
                            self._begin_table(element)
                    elif event == "end" and name == "table-row" and depth == 1:
                        yield from self._end_row(element)
                    elif event == "end":
                        self._end(name, element)
        except (*BROKEN, etree.XMLSyntaxError) as error:
            raise damaged(self._package.what, error) from error

    def _begin_table(self, table: Element) -> None:
        self._row = self._column = 1
        self.titles.append(attribute(table, "name") or f"Sheet{len(self.titles) + 1}")
        self.shown.append(attribute(table, "style-name") not in self._hidden_styles)
        self.hidden_columns.append(0)

    def _end(self, name: str, element: Element) -> None:
        if name == "style":
            for properties in element:
                if attribute(properties, "display") == "false":
                    self._hidden_styles.add(attribute(element, "name") or "")
        elif name == "table-column" and self.titles:
            first, self._column = self._column, self._column + repeated(element, COLUMNS, LAST_COLUMN)
            if attribute(element, "visibility") in HIDDEN and first <= LAST_COLUMN:
                after = min(self._column, LAST_COLUMN + 1)
                self.hidden_columns[-1] |= (1 << after) - (1 << first)

    def _end_row(self, row: Element) -> Iterator[OdsRow]:
        first, times = self._row, repeated(row, ROWS, LAST_ROW)
        self._row += times
        cells = tuple(_cells(row, first))
        if cells and first <= LAST_ROW:
            times = min(times, LAST_ROW + 1 - first)
            self._left -= sum(cell.repeated for cell in cells) * times - len(cells)
            if self._left < 0:
                raise ReadError("bomb", f"cells are repeated more than {REPEATED_CELLS:,} times: leave the file out")
            is_hidden = attribute(row, "visibility") in HIDDEN
            yield OdsRow(len(self.titles) - 1, first, times, is_hidden, cells)
        row.clear()
        while row.getprevious() is not None:
            del row.getparent()[0]


def _cells(row: Element, number: int) -> Iterator[OdsCell]:
    """Yield the filled cells of a row; what is under a merged one is not shown."""
    column = 1
    for cell in row:
        name = name_of(cell)
        if name not in ("table-cell", "covered-table-cell"):
            continue
        times = repeated(cell, COLUMNS, LAST_COLUMN)
        text = _text(cell) if name == "table-cell" and column <= LAST_COLUMN else ""
        if text.strip():
            last = number - 1 + repeated(cell, "number-rows-spanned", LAST_ROW)
            yield OdsCell(column, min(times, LAST_COLUMN + 1 - column), text, last)
        column += times


def _text(cell: Element) -> str:
    """Return what a cell shows: its paragraphs; its value or formula where a library wrote no text beside it."""
    inline = Inline(None)
    lines = [inline.text(each) for each in cell if name_of(each) == "p"]
    if lines:
        return "\n".join(lines)
    for name in ("string-value", "date-value", "time-value", "boolean-value", "value", "formula"):
        if value := attribute(cell, name):
            return value
    return ""


@dataclass(slots=True)
class Table:
    """What is to be known of a table before its first row."""

    title: str
    is_shown: bool
    hidden_columns: int = 0
    hidden_rows: set[int] = field(default_factory=set)
    filled_columns: set[int] = field(default_factory=set)
    merged: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, row: OdsRow) -> None:
        """Note a row."""
        if row.is_hidden:
            self.hidden_rows.update(range(row.number, row.number + row.repeated))
        for cell in row.cells:
            self.filled_columns.update(range(cell.column, cell.column + cell.repeated))
            if cell.last_row > row.number:
                self.merged[row.number, cell.column] = cell.last_row

    def sheet(self, rows: Iterator[SheetRow], options: ReadOptions) -> Sheet:
        """Return the sheet with its rows."""
        merged = self.merged if options.rows == "split" else {}
        if options.hidden:
            return Sheet(self.title, rows, SheetMarks(merged=merged))
        columns = frozenset(column for column in self.filled_columns if self.hidden_columns >> column & 1)
        marks = SheetMarks(frozenset(self.hidden_rows), columns, merged)
        return Sheet(self.title, rows, marks, len(self.hidden_rows), len(columns))


def _tables(package: Package) -> list[Table]:
    """Return the tables, after one way through the content."""
    parser = OdsParser(package)
    tables: list[Table] = []
    rows = parser.rows()
    for row in itertools.chain(rows, (None,)):
        for number in range(len(tables), len(parser.titles)):
            tables.append(Table(parser.titles[number], parser.shown[number]))
        if row:
            tables[row.table].add(row)
    return [replace(table, hidden_columns=parser.hidden_columns[n]) for n, table in enumerate(tables)]


class RowStream:
    """The rows of all tables in their order, taken table by table."""

    def __init__(self, rows: Iterator[OdsRow]) -> None:
        self._rows = rows
        self._next: OdsRow | None = None

    def of(self, table: int) -> Iterator[SheetRow]:
        """Yield the rows of a table; those of tables before it, if any are left, are lost."""
        row = self._next or next(self._rows, None)
        while row and row.table <= table:
            self._next = None
            if row.table == table:
                yield from self._shown(row)
            row = next(self._rows, None)
        self._next = row

    @staticmethod
    def _shown(row: OdsRow) -> Iterator[SheetRow]:
        for number in range(row.number, row.number + row.repeated):
            columns = ((cell, cell.column + offset) for cell in row.cells for offset in range(cell.repeated))
            yield SheetRow(number, [Cell.at(number, column, cell.text) for cell, column in columns])
