"""Parquet: a row is a document, with its text in one column (`--text-column`) and its id in another (`--id-column`).

No other column is read. A table without rows holds no document. Rows are read a few at a time, whatever the size of the
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extractor.data import Document, FailedDocument
from extractor.errors import Problem
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.rows import FileRow
from extractor.readers._support.signatures import Magic

SUFFIXES = (".parquet", ".pq")
NAME = "a Parquet file"
SIGNATURES = (Magic(b"PAR1"),)
ISOLATED = True
EXTRA = "parquet"
BATCH = 256
SHOWN = 20
"""How many columns a message names."""


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows of a file. Raises OSError where it cannot be opened, ReadError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.open() as stream:
        try:
            table = pq.ParquetFile(stream)
            columns = _columns(table.schema_arrow, options)
            number = 0
            for batch in table.iter_batches(BATCH, columns=columns, use_threads=False):
                for cells in batch.to_pylist():
                    number += 1
                    yield _document(FileRow(file, number, "utf-8", cells.get(options.id_field)), cells, options)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise damaged("Parquet file", error) from error


def count(file: File, options: ReadOptions) -> int:
    """Return how many documents the file holds. Raises OSError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open() as stream:
            return int(pq.ParquetFile(stream).metadata.num_rows)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _columns(schema: Any, options: ReadOptions) -> list[str]:
    """Return the columns to read. Raises ReadError where there is no text."""
    import pyarrow.types as kinds

    names = list(schema.names)
    if options.text_field not in names:
        known = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        message = f"there is no column {options.text_field!r}: name the one that holds the text with --text-column"
        raise ReadError("malformed", f"{message}; there are {known}")
    kind = schema.field(options.text_field).type
    value = kind.value_type if kinds.is_dictionary(kind) else kind
    if not (kinds.is_string(value) or kinds.is_large_string(value) or kinds.is_string_view(value)):
        raise ReadError("malformed", f"the column {options.text_field!r} holds {kind}, not text: name another one")
    return list(dict.fromkeys([options.text_field, *({options.id_field} & set(names))]))


def _document(row: FileRow, cells: dict[str, Any], options: ReadOptions) -> Document | FailedDocument:
    text = cells[options.text_field] or ""
    if len(text) > options.max_bytes:
        return row.failed(Problem("too-large", too_large("the text", options.max_bytes)), text)
    return row.document(text)
