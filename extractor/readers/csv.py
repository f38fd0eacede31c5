"""CSV and TSV: the first row names the columns, every other row is a document.

Where a column is called like the text field, its cell is the text; else the text is one `column: cell` line for each
cell that is not blank. The delimiter (comma, semicolon, tab or bar) is the one that divides the rows most evenly.
Rows of blank cells alone are passed over, as blank lines are. A quote that is never closed fails its own row only.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from extractor.data import Document, FailedDocument
from extractor.encodings.detect import Undecodable
from extractor.readers import text
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.lines import Line, detect, failure, lines
from extractor.readers._support.lines import count as lines_in
from extractor.readers._support.rows import Row

NO_ROWS = Undecodable("empty", "no rows: there is nothing below the header")
SUFFIXES = (".csv", ".tsv", ".tab")
DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 100
SAMPLE_ROWS = 20
LARGEST_CELL = 2**31 - 1
LONE_RETURN = re.compile(r"(?<=\r)(?!\n)")


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """The rows of a file. Raises OSError where it cannot be opened."""
    if options.rows == "whole":
        yield from text.read(file, options)
        return
    csv.field_size_limit(LARGEST_CELL)
    with file.open() as stream:
        encoding = detect(stream)
        if isinstance(encoding, Undecodable):
            yield failure(file, stream, encoding)
            return
        feed = Feed(_physical_lines(lines(stream, encoding, options.max_bytes)), options.max_bytes)
        rows = _documents(file, _records(feed, _delimiter(feed, file.suffix)), encoding, options)
        first = next(rows, None)
        if first is None:
            yield failure(file, stream, NO_ROWS)
        else:
            yield first
            yield from rows


def count(file: File, options: ReadOptions) -> int:
    """About how many documents the file holds: its lines below the header. Raises OSError where it cannot be opened."""
    return 1 if options.rows == "whole" else max(1, lines_in(file) - 1)


def _physical_lines(source: Iterator[Line]) -> Iterator[Line]:
    """Lines that end in a lone carriage return, as old spreadsheets write them, are lines too."""
    numbers = itertools.count(1)
    for line in source:
        for part in LONE_RETURN.split(line.text) if "\r" in line.text[:-2] else (line.text,):
            if part or line.problem:
                yield dataclasses.replace(line, number=next(numbers), text=part)


class RecordTooLarge(Exception):
    """One record has taken more than the limit: a quote was not closed."""


class Feed:
    """Lines for `csv.reader`, which remembers the lines of the record being read and takes lines back."""

    def __init__(self, source: Iterator[Line], limit: int) -> None:
        self._source = source
        self._returned: deque[Line] = deque()
        self._limit = limit
        self._size = 0
        self.taken: list[Line] = []
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        self._size += len(line.text)
        if self._size > self._limit:
            raise RecordTooLarge
        return line.text

    def begin(self) -> None:
        """A new record begins."""
        self.taken, self._size, self.ended = [], 0, False

    def give_back(self, count: int) -> None:
        """The last `count` lines taken are to be read again."""
        self._returned.extendleft(reversed(self.taken[len(self.taken) - count :]))
        del self.taken[len(self.taken) - count :]


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one record, the line it begins on, its text as it stands, and what is wrong with it."""

    number: int
    cells: tuple[str, ...]
    raw: str
    problem: Undecodable | None = None


def _records(feed: Feed, delimiter: str) -> Iterator[Record]:
    while True:
        feed.begin()
        cells: list[str] | None
        try:
            cells = next(csv.reader(feed, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except (csv.Error, RecordTooLarge) as error:
            cells = _recover(feed, delimiter, feed.ended or isinstance(error, RecordTooLarge))
        yield _record(feed, cells)


def _recover(feed: Feed, delimiter: str, unclosed: bool) -> list[str] | None:
    """A record that breaks the rules for quotes: read leniently, or None for its first line alone when its quote is
    never closed; the lines after it are read again."""
    if unclosed:
        feed.give_back(len(feed.taken) - 1)
        return None
    lenient = csv.reader([line.text for line in feed.taken], delimiter=delimiter)
    cells = next(lenient)
    feed.give_back(len(feed.taken) - lenient.line_num)
    return cells


def _record(feed: Feed, cells: list[str] | None) -> Record:
    problem = next((line.problem for line in feed.taken if line.problem), None)
    if cells is None and problem is None:
        problem = Undecodable("malformed", "a quote is never closed (or the row is longer than --max-bytes): repair it")
    raw = "".join(line.text for line in feed.taken)
    return Record(feed.taken[0].number, tuple(cells or ()), raw, problem)


def _delimiter(feed: Feed, suffix: str) -> str:
    """The delimiter that gives most rows as many cells as the header; the comma (or tab) where none does."""
    feed.begin()
    sample = list(itertools.islice(_gently(feed), SAMPLE_LINES))
    feed.give_back(len(feed.taken))
    if sample and (named := re.fullmatch(r"\ufeff?sep=(.)\s*", sample[0])):
        next(feed)
        return named[1]
    usual = "\t" if suffix in (".tsv", ".tab") else ","
    return max((usual, *DELIMITERS), key=lambda delimiter: _evenness(sample, delimiter))


def _gently(feed: Feed) -> Iterator[str]:
    try:
        yield from feed
    except RecordTooLarge:
        return


def _evenness(sample: list[str], delimiter: str) -> tuple[float, int]:
    rows = [row for row in itertools.islice(csv.reader(sample, delimiter=delimiter), SAMPLE_ROWS) if row]
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, 0
    return sum(len(row) == width for row in rows) / len(rows), width


def _documents(
    file: File, records: Iterator[Record], encoding: str, options: ReadOptions
) -> Iterator[Document | FailedDocument]:
    """The documents below the header, which is the first record that is not blank."""
    filled = (record for record in records if record.problem or any(cell.strip() for cell in record.cells))
    header = next(filled, None)
    if header is None:
        return
    if header.problem:
        row = Row(file, header.number, encoding)
        yield row.failed(replace(header.problem, message=f"the header: {header.problem.message}"), header.raw)
    cells = () if header.problem else header.cells
    names = tuple(cell.strip("\ufeff \t\r\n") or f"column {index}" for index, cell in enumerate(cells, 1))
    for record in filled:
        yield _document(file, record, names, encoding, options)


def _document(
    file: File, record: Record, names: tuple[str, ...], encoding: str, options: ReadOptions
) -> Document | FailedDocument:
    unnamed = (f"column {index}" for index in itertools.count(len(names) + 1))
    cells = list(zip(itertools.chain(names, unnamed), record.cells, strict=False))
    by_name = dict(reversed(cells))
    row = Row(file, record.number, encoding, by_name.get(options.id_field))
    if record.problem:
        return row.failed(record.problem, record.raw)
    if options.text_field in names:
        return row.document(by_name.get(options.text_field, ""))
    return row.document("\n".join(f"{name}: {cell}" for name, cell in cells if cell.strip()))
