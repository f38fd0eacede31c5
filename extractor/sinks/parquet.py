"""Parquet: one Arrow schema, derived from the JSON Schema, for documents that failed as well; or a row a value. Rows
are folded into the file at the end of a run (`folded_table`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from extractor.errors import InputError, OutputError, UsageError
from extractor.sinks import Rows, Sink, SinkOptions
from extractor.sinks._support.arrow import ArrowLayout, original
from extractor.sinks._support.cell_types import without_surrogates
from extractor.sinks._support.folded_table import BESIDE, FoldedTable, Stored, has_file, read_open_rows
from extractor.storage import atomic_files
from extractor.storage.resumable_file import ResumableSink
from extractor.storage.resume import ADVICE, RowSummary, foreign, other_rows, other_version
from extractor.storage.rows import from_line

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")
__all__ = ["BESIDE", "SUFFIXES", "open_sink", "read_rows"]
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
        if has_file(path):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, original(row)
        yield from read_open_rows(path, number)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a Parquet file of results ({type(error).__name__}: {error}).") from error


class ParquetTable(FoldedTable):
    """Rows as Arrow has them."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        super().__init__(path, options)
        self._layout = ArrowLayout.of(options)

    def stored(self, *, summaries: bool) -> Iterator[Stored]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not os.path.exists(self._path) or not os.path.getsize(self._path):
            return
        try:
            with pq.ParquetFile(self._path) as file:
                self._check_schema(file.schema_arrow)
                columns = self._layout.resume_columns if summaries else None
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

    def summary(self, row: Stored) -> RowSummary:
        return self._layout.summary(row)

    def convert(self, line: bytes) -> Stored:
        return self._layout.stored(_row(line))

    def write(self, documents: Iterable[list[Stored]]) -> None:
        """Write one file. The rows of a group are in memory together, no others."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._layout.schema
        with (
            atomic_files.replacing(self._path) as stream,
            pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        ):
            for group in _groups(documents):
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
