"""The records of a file of results, for the commands that show them."""

from __future__ import annotations

from collections.abc import Iterator

from extractor.annotation_formats import rows
from extractor.config import STREAM
from extractor.data import Record
from extractor.errors import InputError
from extractor.storage.rows import from_row


def last_records(path: str, purpose: str) -> Iterator[Record]:
    """Yield the records of a file, the last one of each document. The file is read twice, so that it may be large;
    standard input is held in memory. `purpose` begins the message about rows that are none: `A report is made of`."""
    held = [*rows(path)] if path == STREAM else []
    last = {str(row["id"]): where for where, row in held or rows(path)}
    for where, row in held or rows(path, again=True):
        if last[str(row["id"])] == where:
            try:
                yield from_row(row)
            except ValueError as error:
                raise InputError(f"{where} is {error}. {purpose} what `extractor run` wrote.") from error
