"""JSON Lines, packed with gzip: `zcat` reads it, the file of a killed run as well."""

from __future__ import annotations

import os
import zlib

from extractor.sinks import Sink, SinkOptions
from extractor.sinks.appending import Appending
from extractor.sinks.filing import FileSink
from extractor.sinks.jsontext import JsonText
from extractor.sinks.packing import Packed

SUFFIXES = (".jsonl.gz", ".ndjson.gz")
LEVEL = 6
GZIP = 31
"""Window bits of zlib that stand for the format of gzip."""


def open_sink(path: str, options: SinkOptions) -> Sink:
    """A restartable file."""
    path = os.path.realpath(path)
    return FileSink(path, options, Appending(path, options, JsonText(options.flatten), codec()))


def codec() -> Packed:
    """How it is packed."""
    return Packed(Encoder, lambda: zlib.decompressobj(GZIP), zlib.error)


class Encoder:
    """One member."""

    def __init__(self) -> None:
        self._member = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)

    def add(self, data: bytes) -> bytes:
        return self._member.compress(data) + self._member.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._member.flush(zlib.Z_FINISH)
