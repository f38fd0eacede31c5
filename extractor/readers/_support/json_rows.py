"""A JSON object as a document, with the fields for its text and id that the options name: in JSON and JSON Lines."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import orjson

from extractor.data import Document, FailedDocument, Json
from extractor.errors import Problem
from extractor.readers._support.files import ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.rows import FileRow

LARGE_INTEGER = re.compile(r"(?<![\d.])\d{19}")
KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


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
        if LARGE_INTEGER.search(line):  # of which orjson makes a float
            return json.loads(line)
        return orjson.loads(line)
    except ValueError:
        try:
            return json.loads(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def written(value: Json) -> str:
    """Return an item that is not a document as JSON in one line, whose hash identifies it.

    Raises ReadError for one that is nested too deeply.
    """
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        raise ReadError("malformed", "nested too deeply: repair the file, or read it with --rows whole") from None


def kind(value: Json) -> str:
    """Return what a JSON value is, in words."""
    return KINDS.get(type(value), "null")


def _no_text(row: dict[str, Json], field: str) -> str:
    if field in row:
        return f"the field {field!r} holds {kind(row[field])}, not text"
    return f"there is no field {field!r}: name the one that holds the text with --text-field, or use --rows whole"
