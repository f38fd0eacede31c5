"""A table in a file that cannot be appended to, such as Parquet: it is not one before its end is written.

So rows go to JSON Lines beside it first (`results.parquet.open.jsonl`), where a kill at any moment loses none of them,
and a clean end folds them into the file in one step. The next run resumes both. How rows are in the file is the
business of a format, which fills in what is abstract.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from extractor.data import Json, Record
from extractor.sinks import Rows, SinkOptions
from extractor.storage import json_lines
from extractor.storage.compression import PLAIN
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.json_lines import JsonLines
from extractor.storage.present import Present
from extractor.storage.resume import ResumeState, RowSummary, check

Stored = dict[str, Json]
"""A row by column, as it is in the file."""

OPEN_ROWS = ".open.jsonl"
BESIDE = (OPEN_ROWS, f"{OPEN_ROWS}.tmp")


class FoldedTable(ABC):
    """The file, and the rows beside it that are not in it yet."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._options = options
        self._open_path = f"{path}{OPEN_ROWS}"
        self._open_rows = JsonLines(self._open_path, options, PLAIN)

    @abstractmethod
    def stored(self, *, summaries: bool) -> Iterator[Stored]:
        """Yield the rows of the file, or of `summaries` what these need of them; none where there is no file.

        Raises OutputError where it is not ours.
        """

    @abstractmethod
    def summary(self, row: Stored) -> RowSummary:
        """Return what a row of the file says."""

    @abstractmethod
    def convert(self, line: bytes) -> Stored:
        """Return a line of JSON as a row of the file."""

    @abstractmethod
    def write(self, documents: Iterable[list[Stored]]) -> None:
        """Write the rows of these documents to a new file, in the place of the one that is there, in one step."""

    def resume(self) -> ResumeState:
        state = ResumeState()
        for row in self._summaries():
            state.load(self._path, row, self._options)
        for _, row in self._read_open_rows():
            check(self._path, row, self._options)
        self._open_rows.resume()
        for _, row in self._read_open_rows():
            state.load(self._path, row, self._options)
        return state

    def rows(self) -> Iterator[RowSummary]:
        yield from self._summaries()
        for _, row in self._read_open_rows():
            yield row

    def open(self) -> None:
        self._open_rows.open()

    def clear(self) -> None:
        self._open_rows.clear()
        if os.path.exists(self._path):
            os.unlink(self._path)

    def append(self, record: Record) -> None:
        self._open_rows.append(record)

    def sync(self) -> None:
        self._open_rows.sync()

    def finish(self, state: ResumeState, present: Present | None) -> ResumeState:
        nothing_new = present is None and os.path.exists(self._path) and not os.path.getsize(self._open_path)
        folded = state if nothing_new else self._fold(present)
        os.unlink(self._open_path)
        return folded

    def close(self) -> None:
        self._open_rows.close()

    def by_document(self, rows: Iterable[Stored]) -> Iterator[list[Stored]]:
        """Yield the rows of each document: one, or with `flatten` as many as its first one says."""
        group: list[Stored] = []
        for row in rows:
            group.append(row)
            if not self._options.flatten or row["row"] == row["rows"]:
                yield group
                group = []

    def _summaries(self) -> Iterator[RowSummary]:
        return (self.summary(rows[0]) for rows in self.by_document(self.stored(summaries=True)))

    def _read_open_rows(self) -> Iterator[tuple[bytes, RowSummary]]:
        if os.path.exists(self._open_path):
            yield from self._open_rows.read()

    def _fold(self, present: Present | None) -> ResumeState:
        """Put the last rows of each id that is `present` into a new file, in their order; return what it holds."""
        last = DigestTable()
        for number, row in enumerate(self.rows()):
            if present is None or present.holds(row.id, row.path):
                last.set(digest(row.id), number)
        state = ResumeState()
        kept = (rows for number, (id, rows) in enumerate(self._all()) if last.get(digest(id)) == number)
        self.write(self._counted(kept, state))
        return state

    def _all(self) -> Iterator[tuple[str, list[Stored]]]:
        """Yield every document: its id and its rows as they are stored."""
        for rows in self.by_document(self.stored(summaries=False)):
            yield rows[0]["id"], rows
        for lines, row in self._read_open_rows():
            yield row.id, [self.convert(line) for line in lines.splitlines() if line.strip()]

    def _counted(self, documents: Iterable[list[Stored]], state: ResumeState) -> Iterator[list[Stored]]:
        for rows in documents:
            state.add(self.summary(rows[0]))
            yield rows


def read_open_rows(path: str, number: int) -> Rows:
    """Yield the rows beside a file that a killed run has left, numbered after those of the file."""
    if os.path.exists(f"{path}{OPEN_ROWS}"):
        with open(f"{path}{OPEN_ROWS}", "rb") as lines:
            for line, row in json_lines.read_rows(lines, f"{path}{OPEN_ROWS}"):
                yield number + line, row


def has_file(path: str) -> bool:
    """Tell whether the rows of an output are to be read from its file: not where a killed run has left none."""
    return os.path.exists(path) or not os.path.exists(f"{path}{OPEN_ROWS}")
