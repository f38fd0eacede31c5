"""Parquet: one Arrow schema, derived from the JSON Schema, for documents that failed as well; or a row a value.

A Parquet file cannot be added to: it is none before its end is written. So rows go to JSON Lines beside it first
(`results.parquet.open.jsonl`), where a kill at any moment loses none of them, and a clean end folds them into the file
in one step. The next run goes on with both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from extractor.data import Json, Record
from extractor.errors import OutputError, UsageError
from extractor.sinks import Sink, SinkOptions
from extractor.sinks._support.arrow import Layout
from extractor.sinks._support.json_text import JsonText
from extractor.storage import atomic_files
from extractor.storage.append_log import Appending
from extractor.storage.compression import Plain
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.resumable_file import FileSink
from extractor.storage.resume import ADVICE, Done, Row, check, foreign, other_rows
from extractor.storage.rows import from_line

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")
ROWS = 8192
"""Rows of a row group: what is in memory at a time."""


def open_sink(path: str, options: SinkOptions) -> Sink:
    """Raises UsageError where pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError("Parquet needs the package pyarrow: pip install 'chatglm3-extractor[parquet]'") from error
    path = os.path.realpath(path)
    return FileSink(path, options, ParquetTable(path, options))


class ParquetTable:
    """The file, and the rows beside it that are not in it yet."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._options = options
        self._text = JsonText(options.flatten)
        self._beside = f"{path}.open.jsonl"
        self._layout = Layout.of(options)
        self._open_rows = Appending(self._beside, options, self._text, Plain())

    def resume(self) -> Done:
        done = self._in_file()
        for _, row in self._in_open_rows():
            check(self._path, row.fingerprint, self._options)
        self._open_rows.resume()
        for _, row in self._in_open_rows():
            done.add(row)
        if self._options.retry_failed and done.failed:
            return self._fold(drop_failed=True)
        return done

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

    def finish(self, done: Done) -> Done:
        nothing_new = os.path.exists(self._path) and not os.path.getsize(self._beside)
        folded = done if nothing_new else self._fold()
        os.unlink(self._beside)
        return folded

    def close(self) -> None:
        self._open_rows.close()

    def _in_open_rows(self) -> Iterator[tuple[bytes, Row]]:
        if os.path.exists(self._beside):
            with Plain().open(self._beside) as reading:
                yield from self._text.documents(reading, self._beside)

    def _in_file(self) -> Done:
        """What the file holds. Raises OutputError for one that is not ours."""
        done = Done()
        for rows in self._layout.grouped(self._stored(self._layout.restart_columns)):
            row = self._layout.row(rows)
            check(self._path, row.fingerprint, self._options)
            done.add(row)
        return done

    def _stored(self, columns: list[str] | None = None) -> Iterator[dict[str, Json]]:
        """The rows of the file. Raises OutputError where it is not ours."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not os.path.exists(self._path) or not os.path.getsize(self._path):
            return
        try:
            with pq.ParquetFile(self._path) as file:
                self._check_schema(file.schema_arrow)
                for batch in file.iter_batches(ROWS, columns=columns):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise OutputError(f"{self._path} is no Parquet file, or damaged; it was not changed. {ADVICE}") from error

    def _check_schema(self, schema: pa.Schema) -> None:
        if not {"id", "status"} <= set(schema.names):
            raise foreign(self._path, "The schema")
        if ("row" in schema.names) != self._options.flatten:
            raise other_rows(self._path, self._options.flatten)

    def _fold(self, *, drop_failed: bool = False) -> Done:
        """Put the last rows of each id into a new file, in their order."""
        last = DigestTable()
        for number, (id, _) in enumerate(self._all()):
            last.set(digest(id), number)
        done = Done()
        kept = (
            rows
            for number, (id, rows) in enumerate(self._all())
            if last.get(digest(id)) == number and not (drop_failed and rows[0]["status"] == "failed")
        )
        self._write(kept, done)
        if drop_failed and os.path.exists(self._beside):
            os.truncate(self._beside, 0)
        return done

    def _all(self) -> Iterator[tuple[str, list[dict[str, Json]]]]:
        """Every document: its id and its rows as they are stored."""
        for rows in self._layout.grouped(self._stored()):
            yield rows[0]["id"], rows
        for lines, row in self._in_open_rows():
            yield row.id, [self._layout.stored(from_line(line)) for line in lines.splitlines() if line.strip()]

    def _write(self, documents: Iterable[list[dict[str, Json]]], done: Done) -> None:
        """One file in one step. The rows of a group are in memory together, no others."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._layout.schema
        with (
            atomic_files.replacing(self._path) as stream,
            pq.ParquetWriter(stream, schema, compression="zstd") as writer,
        ):
            for group in _groups(documents):
                for rows in self._layout.grouped(group):
                    done.add(self._layout.row(rows))
                writer.write_table(pa.Table.from_pylist(group, schema), len(group))


def _groups(documents: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """The rows of so many documents that a group is full."""
    group: list[dict[str, Any]] = []
    for rows in documents:
        group += rows
        if len(group) >= ROWS:
            yield group
            group = []
    if group:
        yield group
