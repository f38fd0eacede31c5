"""JSON Lines: one JSON object per line, one document per object, streamed whatever the size of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import orjson

from extractor.data import Document, FailedDocument, Json
from extractor.encodings.detect import Undecodable
from extractor.errors import Problem
from extractor.readers import text
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.lines import TextLine, detect, failure, lines
from extractor.readers._support.lines import count as lines_in
from extractor.readers._support.rows import FileRow

SUFFIXES = (".jsonl", ".ndjson")
NAME = "a JSON Lines file"
NO_ROWS = Problem("empty", "no rows: the file is empty or holds only blank lines")
KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the rows of a file; blank lines are skipped. Raises OSError where it cannot be opened."""
    if options.rows == "whole":
        yield from text.read(file, options)
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


def document(row: FileRow, value: dict[str, Json], raw: str, options: ReadOptions) -> Document | FailedDocument:
    """Return the document of a JSON object, which is written `raw` in the file."""
    row = replace(row, own_id=value.get(options.id_field))
    content = value.get(options.text_field)
    if not isinstance(content, str):
        return row.failed(Problem("malformed", _no_text(value, options.text_field)), raw)
    return row.document(content)


def parse(line: str) -> Json:
    """Parse a JSON value; also what orjson refuses and people write: lone surrogates, NaN, integers of any size.

    Raises ValueError, whose message says where and never quotes the line.
    """
    try:
        return orjson.loads(line)
    except ValueError:
        try:
            return json.loads(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def written(value: Json) -> str:
    """Return an item that is not a document as JSON in one line, whose hash identifies it."""
    return json.dumps(value, sort_keys=True)


def kind(value: Json) -> str:
    """Return what a JSON value is, in words."""
    return KINDS.get(type(value), "null")


def _no_text(row: dict[str, Json], field: str) -> str:
    if field in row:
        return f"the field {field!r} holds {kind(row[field])}, not text"
    return f"there is no field {field!r}: name the one that holds the text with --text-field, or use --rows whole"
