"""Subtitles (`.srt`): what is said is the text, and each line has its time as its location."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

from extractor.plugins import Document, File, ReadError, ReadOptions, TextBuilder, Undecodable, decode, read_bytes

SUFFIXES = (".srt",)
NAME = "a subtitle file"
BLOCK = re.compile(r"(\d\d:\d\d:\d\d),\d+ --> .*\n((?:.+\n?)+)")


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield one document a file. Raises OSError where it cannot be opened, ReadError where there are no subtitles."""
    data = read_bytes(file, options.max_bytes)
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        raise ReadError.of(decoded)
    builder = TextBuilder()
    for time, said in BLOCK.findall(decoded.text.replace("\r\n", "\n")):
        builder.add_line(said.strip(), {"time": time})
    if not builder:
        raise ReadError("malformed", "no subtitles: there is no line such as 00:00:01,000 --> 00:00:02,000")
    yield file.document(builder.text, sha256(data).hexdigest(), decoded.encoding, builder.segments)
