"""Sheets of any spreadsheet as documents: a row below the header is one, or a whole sheet is.

The header is the first row with more than one filled cell (the first row where there is none); what is above it, such
as a title, begins every row's text. A header alone that names the text or the id holds no document; any other row is
never lost. A row's text is one `column: cell` line for each filled cell, or the cell of the
column that has the name of the text field. Knows no file format: a reader gives the filled rows of each sheet.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extractor.data import Document, FailedDocument, Json
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import Bomb, ReadError
from extractor.readers._support.notes import counted, left_out, with_notes
from extractor.readers._support.rows import FileRow
from extractor.readers._support.segments import TextBuilder

HEADER_WITHIN = 10
"""Rows of a sheet among which the header is looked for."""
MERGED_CELLS = 1_000_000
"""How many cells of a sheet may be filled from merged ones above them."""
NOTHING_SHOWN = "no text: no cell is filled and shown (what is hidden: --hidden)"


@dataclass(frozen=True, slots=True)
class Cell:
    """A filled cell: its name (`B7`), its column from 1, its text."""

    name: str
    column: int
    text: str

    @classmethod
    def at(cls, row: int, column: int, text: str) -> Cell:
        """Return the cell of a row and a column, both from 1, with its text as people see it."""
        return cls(f"{column_letters(column)}{row}", column, text.replace("\r\n", "\n").strip())


@functools.cache
def column_letters(column: int) -> str:
    """Return the name of a column: `A` for 1, `AA` for 27."""
    before, letter = divmod(column - 1, 26)
    return (column_letters(before) if before else "") + chr(ord("A") + letter)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row with a filled cell, as numbered in the sheet."""

    number: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class SheetMarks:
    """What a sheet hides, by numbers from 1, and which cells it merges: the first cell's column by row and column, with
    the last row."""

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()
    merged: Mapping[tuple[int, int], int] = field(default_factory=dict)

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
    """A sheet that is shown: its title, its filled rows, and what it hides and merges.

    The rows are to be taken before those of the next sheet are. `hidden_rows` and `hidden_columns` count what is filled
    and left out.
    """

    title: str
    rows: Iterable[SheetRow]
    marks: SheetMarks = SheetMarks()
    hidden_rows: int = 0
    hidden_columns: int = 0


@dataclass(frozen=True, slots=True)
class Workbook:
    """A file of sheets, whose bytes have a hash; `hidden` are the titles of the sheets that are left out."""

    file: File
    sha256: str
    sheets: Sequence[Sheet]
    hidden: Sequence[str] = ()

    def documents(self, options: ReadOptions) -> Iterator[Document | FailedDocument]:
        """Yield the rows or sheets that have text. Raises ReadError where there are none, nor a header."""
        found = False
        headers: list[str] = []
        for document in with_notes(self._documents(options, headers), self._notes()):
            found = True
            yield document
        if not (found or headers):
            raise ReadError("empty", NOTHING_SHOWN)

    def _documents(self, options: ReadOptions, headers: list[str]) -> Iterator[Document | FailedDocument]:
        """Yield the documents of all sheets; the titles of those with a header alone come into `headers`."""
        for sheet in self.sheets:
            yield from _documents(_Place(self, sheet.title), sheet.marks.spread(sheet.rows), options, headers)

    def _notes(self) -> tuple[str, ...]:
        return left_out(
            counted(sum(sheet.hidden_rows for sheet in self.sheets), "hidden row"),
            counted(sum(sheet.hidden_columns for sheet in self.sheets), "hidden column"),
            counted(len(self.hidden), "hidden sheet", self.hidden),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A sheet of a workbook, as documents are named after it."""

    book: Workbook
    title: str

    @property
    def file(self) -> File:
        return self.book.file

    def location(self, cell: Cell) -> dict[str, Json]:
        """Return where a cell is in the file."""
        return {"sheet": self.title, "cell": cell.name}


def _documents(
    sheet: _Place, rows: Iterator[SheetRow], options: ReadOptions, headers: list[str]
) -> Iterator[Document | FailedDocument]:
    if options.rows == "whole":
        yield from _whole(sheet, rows, options.max_bytes)
        return
    first = list(itertools.islice(rows, HEADER_WITHIN))
    header = next((index for index, row in enumerate(first) if len(row.cells) > 1), 0)
    below = itertools.chain(first[header + 1 :], rows)
    row = next(below, None)
    if row is None and first and options.are_columns({cell.text for cell in first[header].cells}):
        headers.append(sheet.title)
        return
    if row is None:
        yield from _whole(sheet, iter(first), options.max_bytes)
        return
    titles = [cell for above in first[:header] for cell in above.cells]
    names = {cell.column: " ".join(cell.text.split()) for cell in first[header].cells}
    for each in itertools.chain([row], below):
        yield _row_document(sheet, titles, names, each, options)


def _whole(sheet: _Place, rows: Iterable[SheetRow], limit: int) -> Iterator[Document]:
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
        id, path = (f"{name}#{sheet.title}" for name in (sheet.file.id, sheet.file.path))
        named = File(id, path, sheet.file.open)
        yield named.document(builder.text, sheet.book.sha256, segments=builder.segments)


def _row_document(
    sheet: _Place, titles: Sequence[Cell], names: dict[int, str], row: SheetRow, options: ReadOptions
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
