"""JSON: an object is a document, a list one of each of its items, with fields for text and id as in JSON Lines.

An item that is a string is its own text; a list without items holds no document. A file that holds one object per line
is read as JSON Lines, whatever its name. It is read at once, so it may be as large as one document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from extractor.data import Document, FailedDocument, Json
from extractor.encodings.detect import Undecodable, decode
from extractor.errors import Problem
from extractor.readers import jsonl
from extractor.readers._support import plain_text
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.json_rows import document, kind, parse, written
from extractor.readers._support.limits import ReadError
from extractor.readers._support.rows import FileRow

SUFFIXES = (".json",)
NAME = "a JSON file"


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the items of a file. Raises OSError where it cannot be opened, ReadError where it is not JSON."""
    if options.rows == "whole":
        yield from plain_text.read(file, options)
        return
    data = read_bytes(file, options.max_bytes)
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        raise ReadError.of(decoded)
    try:
        value = parse(decoded.text.strip("\ufeff \t\r\n"))
    except ValueError as error:
        if not _has_lines(decoded.text):
            raise ReadError("malformed", f"not JSON: {error}; repair the file, or read it with --rows whole") from error
        yield from jsonl.read(file, options)
        return
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield _document(FileRow(file, number, decoded.encoding), item, options)
    else:
        yield _single(file, _document(FileRow(file, 1, decoded.encoding), value, options))


def _has_lines(content: str) -> bool:
    """Return whether the first line that is not blank is a JSON object of its own."""
    first = next((line for line in content.splitlines() if line.strip("\ufeff \t")), "")
    try:
        return isinstance(parse(first.strip("\ufeff \t")), dict)
    except ValueError:
        return False


def _document(row: FileRow, value: Json, options: ReadOptions) -> Document | FailedDocument:
    if isinstance(value, str):
        return row.document(value)
    raw = written(value)
    if not isinstance(value, dict):
        return row.failed(Problem("malformed", f"neither a JSON object nor text but {kind(value)}"), raw)
    return document(row, value, raw, options)


def _single(file: File, item: Document | FailedDocument) -> Document | FailedDocument:
    """Return the only item of a file under the file's name, unless it has an id of its own."""
    own = item.id if item.id != f"{file.id}#1" else file.id
    return replace(item, id=own, source=replace(item.source, path=file.path))
