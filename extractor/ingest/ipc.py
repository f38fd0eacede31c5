"""Files and documents as lines of JSON, for the pipes between a run and its reader processes."""

from __future__ import annotations

import dataclasses
import functools
import json
import os

import orjson

from extractor.data import Document, FailedDocument, Json, Segment, Source
from extractor.errors import Problem
from extractor.readers._support.files import File, ReadOptions, open_regular
from extractor.storage import addresses

END = b"null\n"
"""After the last document of a file."""


def request(file: File, options: ReadOptions) -> bytes:
    """Return the line that asks for a file on the disk. Its name may not be UTF-8, which JSON's ASCII escapes carry."""
    asked = dataclasses.asdict(dataclasses.replace(options, exclude=()))
    location = file.location if addresses.is_address(file.location) else os.path.abspath(file.location)
    return json.dumps([file.id, file.path, location, asked]).encode("ascii") + b"\n"


def parse_request(line: bytes) -> tuple[File, ReadOptions]:
    """Return the file and the options of a request."""
    id, path, location, options = json.loads(line)
    options["exclude"] = ()
    return File(id, path, functools.partial(open_regular, location), location), ReadOptions(**options)


def to_line(item: Document | FailedDocument) -> bytes:
    """Return the line of a document or a failure. orjson refuses lone surrogates, which the standard library writes."""
    fields: dict[str, Json] = {"id": item.id, "source": dataclasses.astuple(item.source)}
    if isinstance(item, FailedDocument):
        fields |= {"code": item.problem.code, "message": item.problem.message}
    else:
        fields |= {"text": item.text, "segments": [(each.start, each.end, each.location) for each in item.segments]}
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(fields).encode("ascii") + b"\n"


def from_line(line: bytes) -> Document | FailedDocument:
    """Return the document or failure of a line that `to_line` wrote."""
    try:
        fields: dict[str, Json] = orjson.loads(line)
    except orjson.JSONDecodeError:
        fields = json.loads(line)
    path, sha256, encoding, chars, notes = fields["source"]
    source = Source(path, sha256, encoding, chars, tuple(notes))
    if "code" in fields:
        return FailedDocument(fields["id"], source, Problem(fields["code"], fields["message"]))
    return Document(fields["id"], fields["text"], source, tuple(Segment(*each) for each in fields["segments"]))
