"""Subtitles (`.srt`): what is said is the text, and each line knows its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

from extractor.data import Document
from extractor.encodings.detect import Undecodable, decode
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError
from extractor.readers._support.segments import Pieces

SUFFIXES = (".srt",)
BLOCK = re.compile(r"(\d\d:\d\d:\d\d),\d+ --> .*\n((?:.+\n?)+)")


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """One document a file. Raises OSError where it cannot be opened, ReadError where there are no subtitles."""
    data = read_bytes(file, options.max_bytes)
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        raise ReadError(decoded.reason, decoded.message)
    pieces = Pieces()
    for time, said in BLOCK.findall(decoded.text.replace("\r\n", "\n")):
        pieces.line(said.strip(), {"time": time})
    if not pieces:
        raise ReadError("malformed", "no subtitles: there is no line such as 00:00:01,000 --> 00:00:02,000")
    yield file.document(pieces.text, sha256(data).hexdigest(), decoded.encoding, pieces.segments)
