"""Parquet: one Arrow schema, derived from the JSON Schema, for documents that failed as well; or a row a value.

A Parquet file cannot be appended to: it is not one before its end is written. So rows go to JSON Lines beside it first
(`results.parquet.open.jsonl`), where a kill at any moment loses none of them, and a clean end folds them into the file
in one step. The next run resumes both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from extractor.data import Record
from extractor.errors import InputError, OutputError, UsageError
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.sinks._support.arrow import ArrowLayout, Stored, by_document, original
from extractor.sinks._support.cell_types import without_surrogates
from extractor.storage import atomic_files, json_lines
from extractor.storage.compression import PLAIN
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.json_lines import JsonLines
from extractor.storage.present import Present
from extractor.storage.resumable_file import ResumableSink
from extractor.storage.resume import ADVICE, ResumeState, RowSummary, check, foreign, other_rows, other_version
from extractor.storage.rows import from_line

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")
BESIDE = (".open.jsonl", ".open.jsonl.tmp")
SURROGATE_ESCAPE = b"\\ud"
"""In a line of JSON that holds lone surrogates, and in few others."""

GROUP_ROWS = 8192
"""Rows of a row group: what is in memory at a time."""


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Return a resumable file. Raises UsageError where pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError("Parquet needs the package pyarrow: pip install 'chatglm3-extractor[parquet]'") from error
    return ResumableSink(path, options, ParquetTable(path, options))


def read_rows(path: str) -> Rows:
    """Yield the rows of a file, then those beside it that a killed run has left. Raises InputError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise InputError("Parquet needs the package pyarrow: pip install 'chatglm3-extractor[parquet]'") from error
    number = 0
    try:
        if os.path.exists(path) or not os.path.exists(f"{path}{BESIDE[0]}"):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, original(row)
        yield from _read_open_rows(f"{path}{BESIDE[0]}", number)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a Parquet file of results ({type(error).__name__}: {error}).") from error


def _read_open_rows(path: str, number: int) -> Rows:
    if os.path.exists(path):
        with open(path, "rb") as lines:
            for line, row in json_lines.read_rows(lines, path):
                yield number + line, row


class ParquetTable:
    """The file, and the rows beside it that are not in it yet."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._options = options
        self._layout = ArrowLayout.of(options)
        self._open_path = f"{path}{BESIDE[0]}"
        self._open_rows = JsonLines(self._open_path, options, PLAIN)

    def resume(self) -> ResumeState:
        state = ResumeState()
        for rows in by_document(self._stored(self._layout.resume_columns)):
            state.load(self._path, self._layout.summary(rows[0]), self._options)
        for _, row in self._read_open_rows():
            check(self._path, row, self._options)
        self._open_rows.resume()
        for _, row in self._read_open_rows():
            state.load(self._path, row, self._options)
        return state

    def rows(self) -> Iterator[RowSummary]:
        for rows in by_document(self._stored(self._layout.resume_columns)):
            yield self._layout.summary(rows[0])
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

    def _read_open_rows(self) -> Iterator[tuple[bytes, RowSummary]]:
        if os.path.exists(self._open_path):
            yield from self._open_rows.read()

    def _stored(self, columns: list[str] | None = None) -> Iterator[Stored]:
        """Yield the rows of the file. Raises OutputError where it is not ours."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not os.path.exists(self._path) or not os.path.getsize(self._path):
            return
        try:
            with pq.ParquetFile(self._path) as file:
                self._check_schema(file.schema_arrow)
                for batch in file.iter_batches(GROUP_ROWS, columns=columns):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            message = f"{self._path} is not a Parquet file, or damaged; it was not changed. {ADVICE}"
            raise OutputError(message) from error

    def _check_schema(self, schema: pa.Schema) -> None:
        """Raise OutputError for a file of other columns, OutputMismatch for one of another version or by value."""
        names = set(schema.names)
        if not {"id", "status"} <= names:
            raise foreign(self._path, "The schema")
        run = schema.field("run").type if "run" in names else schema
        if "record" not in run.names:
            raise other_version(self._path, 1)
        if ("row" in names) != self._options.flatten:
            raise other_rows(self._path, self._options.flatten)

    def _fold(self, present: Present | None) -> ResumeState:
        """Put the last rows of each id that is `present` into a new file, in their order; return what it holds."""
        last = DigestTable()
        for number, row in enumerate(self.rows()):
            if present is None or present.holds(row.id, row.path):
                last.set(digest(row.id), number)
        state = ResumeState()
        self._write((rows for number, (id, rows) in enumerate(self._all()) if last.get(digest(id)) == number), state)
        return state

    def _all(self) -> Iterator[tuple[str, list[Stored]]]:
        """Yield every document: its id and its rows as they are stored."""
        for rows in by_document(self._stored()):
            yield rows[0]["id"], rows
        for lines, row in self._read_open_rows():
            yield row.id, [self._layout.stored(_row(line)) for line in lines.splitlines() if line.strip()]

    def _write(self, documents: Iterable[list[Stored]], state: ResumeState) -> None:
        """Write one file in one step. The rows of a group are in memory together, no others."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._layout.schema
        with (
            atomic_files.replacing(self._path) as stream,
            pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        ):
            for group in _groups(documents):
                for rows in by_document(group):
                    state.add(self._layout.summary(rows[0]))
                writer.write_table(pa.Table.from_pylist(group, schema), len(group))


def _row(line: bytes) -> Stored:
    """Return a row, without the surrogates in what Arrow takes as text; those of data are the layout's business."""
    row: Stored = from_line(line)
    if SURROGATE_ESCAPE not in line:
        return row
    clean: Stored = without_surrogates({name: value for name, value in row.items() if name != "data"})
    return {**clean, "data": row["data"]} if "data" in row else clean


def _groups(documents: Iterable[list[Stored]]) -> Iterator[list[Stored]]:
    """Yield the rows of so many documents that a group is full."""
    group: list[Stored] = []
    for rows in documents:
        group += rows
        if len(group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group
