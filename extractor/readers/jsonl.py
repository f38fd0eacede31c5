"""JSON Lines: one JSON object per line, one document per object, streamed whatever the size of the file."""

from __future__ import annotations

from collections.abc import Iterator

from extractor.data import Document, FailedDocument
from extractor.encodings.detect import Undecodable
from extractor.errors import Problem
from extractor.readers._support import plain_text
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.json_rows import document, kind, parse
from extractor.readers._support.lines import TextLine, detect, failure, lines
from extractor.readers._support.lines import count as lines_in
from extractor.readers._support.rows import FileRow

SUFFIXES = (".jsonl", ".ndjson")
NAME = "a JSON Lines file"
NO_ROWS = Problem("empty", "no rows: the file is empty or holds only blank lines")


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows of a file; blank lines are skipped. Raises OSError where it cannot be opened."""
    if options.rows == "whole":
        yield from plain_text.read(file, options)
        return
    with file.open() as stream:
        encoding = detect(stream)
        if isinstance(encoding, Undecodable):
            yield failure(file, stream, encoding)
            return
        found = False
        for line in lines(stream, encoding, options.max_bytes):
            if line.problem or line.text.strip("\ufeff \t\r\n"):
                found = True
                yield _document(file, line, encoding, options)
        if not found:
            yield failure(file, stream, NO_ROWS)


def count(file: File, options: ReadOptions) -> int:
    """Estimate how many documents the file holds: its lines. Raises OSError where it cannot be opened."""
    return 1 if options.rows == "whole" else max(1, lines_in(file))


def _document(file: File, line: TextLine, encoding: str, options: ReadOptions) -> Document | FailedDocument:
    row = FileRow(file, line.number, encoding)
    if line.problem:
        return row.failed(line.problem, line.text)
    try:
        value = parse(line.text.strip("\ufeff \t\r\n"))
    except ValueError as error:
        return row.failed(Problem("malformed", f"not JSON: {error}; repair line {line.number}"), line.text)
    if not isinstance(value, dict):
        return row.failed(Problem("malformed", f"not a JSON object but {kind(value)}"), line.text)
    return document(row, value, line.text, options)
