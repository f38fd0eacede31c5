"""CSV and TSV: the first row names the columns, every other row is a document.

Where a column has the name of the text field, its cell is the text; else the text is one `column: cell` line for each
cell that is not blank. The delimiter (comma, semicolon, tab or bar) is the one that divides the rows most evenly. Rows
of blank cells alone are skipped, as blank lines are; a header alone that names the text or the id holds no document,
where any other single line might be a row and is told as a failure. A quote that is never closed fails its own row
only.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extractor.data import Document, FailedDocument
from extractor.encodings.detect import Undecodable
from extractor.errors import Problem
from extractor.readers._support import plain_text
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.lines import TextLine, detect, failure, lines
from extractor.readers._support.lines import count as lines_in
from extractor.readers._support.rows import FileRow

SUFFIXES = (".csv", ".tsv", ".tab")
NAME = "a CSV table"
NO_ROWS = Problem("empty", "no rows: there is nothing below the header")
DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 100
SAMPLE_ROWS = 20
LARGEST_CELL = 2**31 - 1
LONE_RETURN = re.compile(r"(?<=\r)(?!\n)")


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows of a file. Raises OSError where it cannot be opened."""
    if options.rows == "whole":
        yield from plain_text.read(file, options)
        return
    csv.field_size_limit(LARGEST_CELL)
    with file.open() as stream:
        encoding = detect(stream)
        if isinstance(encoding, Undecodable):
            yield failure(file, stream, encoding)
            return
        buffer = LineBuffer(_physical_lines(lines(stream, encoding, options.max_bytes)), options.max_bytes)
        records = _records(buffer, _delimiter(buffer, file.suffix))
        header, below = _header(record for record in records if record.problem or any(map(str.strip, record.cells)))
        found = False
        for document in _documents(file, header, below, encoding, options) if header else ():
            found = True
            yield document
        if not found and not (header and options.are_columns(header.names)):
            yield failure(file, stream, NO_ROWS)


def count(file: File, options: ReadOptions) -> int:
    """Estimate how many documents the file holds: its lines below the header. Raises OSError."""
    return 1 if options.rows == "whole" else max(1, lines_in(file) - 1)


def _physical_lines(source: Iterator[TextLine]) -> Iterator[TextLine]:
    """Split lines at lone carriage returns too, with which old spreadsheets end them."""
    numbers = itertools.count(1)
    for line in source:
        for part in LONE_RETURN.split(line.text) if "\r" in line.text.removesuffix("\r\n") else (line.text,):
            if part or line.problem:
                yield dataclasses.replace(line, number=next(numbers), text=part)


class Unclosed(Exception):
    """A quote is not closed before the end of the file, or before a record has taken more than the limit."""


class LineBuffer:
    """The lines that `csv.reader` iterates over. It remembers the lines of the current record, and takes lines back.

    `taken` are the lines of the current record, `ended` says that the file ended inside it. A line that an unclosed
    quote ran through is not looked through for a closing one again: that would take a time quadratic in the file.
    """

    def __init__(self, source: Iterator[TextLine], limit: int) -> None:
        self._source = source
        self._returned: deque[TextLine] = deque()
        self._limit = limit
        self._size = 0
        self._unclosed_through = 0  # the number of the last line that an unclosed quote ran through
        self.taken: list[TextLine] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source, None)
        if line is None:
            self.ended = True
            raise StopIteration
        if self.taken and line.number <= self._unclosed_through:
            self._returned.appendleft(line)
            raise Unclosed
        self.taken.append(line)
        self._size += len(line.text)
        if self._size > self._limit:
            raise Unclosed
        return line.text

    def begin(self) -> None:
        """Begin a record."""
        self.taken, self._size, self.ended = [], 0, False

    def give_back_unclosed(self) -> None:
        """Have all lines but the first read again, through which its quote ran without an end."""
        self._unclosed_through = max(self._unclosed_through, self.taken[-1].number)
        self.give_back(len(self.taken) - 1)

    def give_back(self, count: int) -> None:
        """Have the last `count` lines taken read again."""
        self._returned.extendleft(reversed(self.taken[len(self.taken) - count :]))
        del self.taken[len(self.taken) - count :]


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """The cells of one record, the line on which it begins, its raw text, and what is wrong with it."""

    number: int
    cells: tuple[str, ...]
    raw: str
    delimiter: str
    problem: Problem | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of which this is the header."""
        cells = () if self.problem else self.cells
        return tuple(cell.strip("\ufeff \t\r\n") or f"column {index}" for index, cell in enumerate(cells, 1))


def _records(buffer: LineBuffer, delimiter: str) -> Iterator[CsvRecord]:
    # A csv.reader for each record: one that has raised an error cannot be used again, and lines that were given back
    # have to reach a reader that is at the beginning of a record.
    while True:
        buffer.begin()
        cells: list[str] | None
        try:
            cells = next(csv.reader(buffer, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except (csv.Error, Unclosed) as error:
            # A quote that a later line closes in the middle of a cell has run through rows of others.
            unclosed = buffer.ended or isinstance(error, Unclosed) or len(buffer.taken) > 1
            cells = _recover(buffer, delimiter, unclosed)
        yield _record(buffer, cells, delimiter)


def _recover(buffer: LineBuffer, delimiter: str, unclosed: bool) -> list[str] | None:
    """Return the cells of a record that breaks the rules for quotes, read leniently.

    None stands for its first line alone, whose quote is never closed. The lines after the record are read again.
    """
    if unclosed:
        buffer.give_back_unclosed()
        return None
    lenient = csv.reader([line.text for line in buffer.taken], delimiter=delimiter)
    cells = next(lenient)
    buffer.give_back(len(buffer.taken) - lenient.line_num)
    return cells


def _record(buffer: LineBuffer, cells: list[str] | None, delimiter: str) -> CsvRecord:
    problem = next((line.problem for line in buffer.taken if line.problem), None)
    if cells is None and problem is None:
        problem = Problem("malformed", "a quote is never closed (or the row is longer than --max-bytes): repair it")
    raw = "".join(line.text for line in buffer.taken)
    return CsvRecord(buffer.taken[0].number, tuple(cells or ()), raw, delimiter, problem)


def _delimiter(buffer: LineBuffer, suffix: str) -> str:
    """Return the delimiter that gives most rows as many cells as the header; the comma (or tab) where none does."""
    buffer.begin()
    sample = list(itertools.islice(_until_too_large(buffer), SAMPLE_LINES))
    buffer.give_back(len(buffer.taken))
    samples = sample, list(itertools.dropwhile(_is_comment, sample))
    if sample and (named := re.fullmatch(r"\ufeff?sep=(.)\s*", sample[0])):
        next(buffer)
        return named[1]
    usual = "\t" if suffix in (".tsv", ".tab") else ","
    return max((usual, *DELIMITERS), key=lambda delimiter: max(_evenness(each, delimiter) for each in samples))


def _is_comment(line: str) -> bool:
    """Tell whether a line above the header is one that tools write: `# exported on ...`."""
    return line.lstrip("\ufeff \t").startswith("#") or not line.strip()


def _until_too_large(buffer: LineBuffer) -> Iterator[str]:
    try:
        yield from buffer
    except Unclosed:
        return


def _evenness(sample: list[str], delimiter: str) -> tuple[float, int]:
    """Return the share of rows that are as wide as the first, and that width; zeros where there is a single column."""
    rows = [row for row in itertools.islice(csv.reader(sample, delimiter=delimiter), SAMPLE_ROWS) if row]
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, 0
    return sum(len(row) == width for row in rows) / len(rows), width


def _documents(
    file: File, header: CsvRecord, below: Iterable[CsvRecord], encoding: str, options: ReadOptions
) -> Iterator[Document | FailedDocument]:
    """Yield the documents below the header."""
    if header.problem:
        row = FileRow(file, header.number, encoding)
        yield row.failed(replace(header.problem, message=f"the header: {header.problem.message}"), header.raw)
    names = header.names
    if options.text_field not in ("text", *names) and not header.problem:
        known = ", ".join(names)
        raise ReadError("malformed", f"there is no column {options.text_field!r} for --text-field; there are: {known}")
    for record in below:
        yield _document(file, record, names, encoding, options)


def _header(records: Iterator[CsvRecord]) -> tuple[CsvRecord | None, Iterator[CsvRecord]]:
    """Return the header and what is below it. Comments above it are narrower than it, as a header `#,name` is not."""
    first: list[CsvRecord] = []
    for record in itertools.islice(records, SAMPLE_LINES):
        first.append(record)
        if not _is_comment(record.raw):
            break
    if not first:
        return None, records
    if all(len(comment.cells) < len(first[-1].cells) for comment in first[:-1]):
        return first[-1], records
    return first[0], itertools.chain(first[1:], records)


def _last_cell(record: CsvRecord, at: int) -> str:
    """Return the text of the last column with the delimiters in it that were not put into quotes, as it is written."""
    if '"' in record.raw:
        return record.delimiter.join(record.cells[at:])
    return record.raw.rstrip("\r\n").split(record.delimiter, at)[at]


def _document(
    file: File, record: CsvRecord, names: tuple[str, ...], encoding: str, options: ReadOptions
) -> Document | FailedDocument:
    unnamed = (f"column {index}" for index in itertools.count(len(names) + 1))
    cells = list(zip(itertools.chain(names, unnamed), record.cells, strict=False))
    by_name = dict(reversed(cells))
    row = FileRow(file, record.number, encoding, by_name.get(options.id_field))
    if record.problem:
        return row.failed(record.problem, record.raw)
    if options.text_field in names:
        at = names.index(options.text_field)
        surplus = record.cells[len(names) :]
        if not surplus:
            return row.document(by_name.get(options.text_field, ""))
        if at < len(names) - 1:
            message = (
                f"{len(record.cells)} cells below {len(names)} columns: put text with a delimiter in it into quotes"
            )
            return row.failed(Problem("malformed", message), record.raw)
        return row.document(_last_cell(record, at))
    return row.document("\n".join(f"{name}: {cell}" for name, cell in cells if cell.strip()))
