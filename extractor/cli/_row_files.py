"""Files of rows that commands read: results and gold."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

from extractor import sinks
from extractor.data import RECORD_VERSION, Json, Source
from extractor.errors import InputError
from extractor.storage import json_lines
from extractor.storage.parts_folder import parts

log = logging.getLogger(__name__)

JsonRow = dict[str, Json]


def rows(path: str, *, again: bool = False) -> Iterator[tuple[str, JsonRow]]:
    """Yield the rows of a file (`-` for standard input) or of a folder of part files, each with its place for messages.

    A row without an id is called `file#line`, as readers do. A torn last line, which a killed run leaves, is skipped
    with a warning, unless the file is read `again`. Raise InputError for a file that cannot be read, a line that is not
    a JSON object, and a record of another version.
    """
    for file in parts(path) if os.path.isdir(path) else [path]:
        for where, row in _rows_of(file, again):
            _check_version(row, where)
            yield where, row


def _rows_of(path: str, again: bool) -> Iterator[tuple[str, JsonRow]]:
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
        module = sinks.formats()[".jsonl"]
    if module.read_rows is None:
        raise InputError(
            f"{path}: rows are read from {', '.join(sinks.readable())}, not from {os.path.splitext(path)[1]}. "
            f"Have the same run write them: `extractor run ... -o results.jsonl`."
        )
    return module.read_rows(path)


def _check_version(row: JsonRow, where: str) -> None:
    """Raise InputError for a record of another version. Rows that are not records of ours have none."""
    run = row.get("run")
    if not isinstance(run, dict) or "fingerprint" not in run or run.get("record") == RECORD_VERSION:
        return
    version = run.get("record")
    writer = "extractor 0.1.0 (record 1)" if version is None else f"another version of extractor (record {version})"
    raise InputError(
        f"{where} was written by {writer}; this version reads record {RECORD_VERSION}. Run the documents again into "
        "another output, or use the version that wrote it."
    )


def source_of(row: JsonRow) -> Source | None:
    """Return where the document of a record came from; None for a row that does not say."""
    source = row.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        return None
    return Source(source["path"], str(source.get("sha256", "")), source.get("encoding"), source.get("chars"))
