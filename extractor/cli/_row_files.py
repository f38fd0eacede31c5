"""Files of rows that commands read: results and gold."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from extractor.data import Json, Source
from extractor.errors import InputError, OutputError
from extractor.sinks import csv, gz, parquet, sqlite, zst
from extractor.storage.compression import Plain
from extractor.storage.parts_folder import parts
from extractor.storage.rows import from_line

log = logging.getLogger(__name__)

Row = dict[str, Json]
READABLE = (".jsonl", ".jsonl.gz", ".jsonl.zst")
UNREADABLE = (*csv.SUFFIXES, *parquet.SUFFIXES, *sqlite.SUFFIXES)


def rows(path: str, *, again: bool = False) -> Iterator[tuple[str, Row]]:
    """The rows of a JSONL file, packed or not (`-` for standard input), or of a folder of part files, each with its
    place for messages; blank lines are passed over.

    A row without an id is called `file#line`, as readers call it. A torn last line, which a killed run leaves, is left
    out with a warning, unless the file is read `again`. Raises InputError for a file that is not there or a line that
    is no JSON object.
    """
    for file in parts(path) if os.path.isdir(path) else [path]:
        yield from _rows_of(file, again)


def _rows_of(path: str, again: bool) -> Iterator[tuple[str, Row]]:
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                where = f"{path} line {number}"
                row = _row(line, where)
                if row is not None:
                    yield where, {"id": f"{os.path.basename(path)}#{number}", **row}
                elif not again:
                    log.warning("%s is torn: the run that wrote it was stopped; it does not count", where)


def source_of(row: Row) -> Source | None:
    """Where the document of a record came from; None for a row that does not say."""
    source = row.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        return None
    return Source(source["path"], str(source.get("sha256", "")), source.get("encoding"), source.get("chars"))


def _open(path: str) -> AbstractContextManager[Iterable[bytes]]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    suffix = os.path.splitext(path)[1].lower()
    if suffix in UNREADABLE:
        raise InputError(
            f"{path}: rows are read from JSON Lines ({', '.join(READABLE)}), not from {suffix}. "
            f"Have the same run write them: `extractor run ... -o results.jsonl`."
        )
    return _unpacked(path, suffix)


@contextmanager
def _unpacked(path: str, suffix: str) -> Iterator[Iterable[bytes]]:
    codec = {".gz": gz.codec, ".zst": zst.codec}.get(suffix, Plain)()
    with ExitStack() as opened:
        try:
            lines = opened.enter_context(codec.open(path))
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}. Give a .jsonl file, or a folder of them."
            ) from error
        try:
            yield lines
        except OutputError as error:  # the codec of an output tells a writer what to do
            raise InputError(f"{path} is damaged, or not packed as its suffix says ({error.__cause__}).") from error


def _row(line: bytes, where: str) -> Row | None:
    """The row of a line; None for one that was cut off in writing."""
    try:
        row = from_line(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        if line.endswith(b"\n"):
            raise InputError(f"{where} is not JSON: {error}.") from error
        return None
    if not isinstance(row, dict):
        raise InputError(f"{where} is no JSON object.")
    return row
