"""Files of rows that commands read: results and gold."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

from extractor import sinks
from extractor.data import Json, Source
from extractor.errors import InputError
from extractor.sinks import jsonl
from extractor.storage import json_lines
from extractor.storage.parts_folder import parts

log = logging.getLogger(__name__)

Row = dict[str, Json]


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
    for number, row in _read(path):
        where = f"{path} line {number}"
        if row is not None:
            yield where, {"id": f"{os.path.basename(path)}#{number}", **row}
        elif not again:
            log.warning("%s is torn: the run that wrote it was stopped; it does not count", where)


def _read(path: str) -> sinks.Rows:
    """Return the rows of a file by its suffix; one of another suffix is read as JSON Lines."""
    if path == sinks.STDOUT:
        return json_lines.read_rows(sys.stdin.buffer, path)
    module = sinks.module_of(path)
    if module is None:
        return jsonl.read_rows(path)
    if module.read_rows is None:
        raise InputError(
            f"{path}: rows are read from {', '.join(sinks.readable())}, not from {os.path.splitext(path)[1]}. "
            f"Have the same run write them: `extractor run ... -o results.jsonl`."
        )
    return module.read_rows(path)


def source_of(row: Row) -> Source | None:
    """Where the document of a record came from; None for a row that does not say."""
    source = row.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        return None
    return Source(source["path"], str(source.get("sha256", "")), source.get("encoding"), source.get("chars"))
