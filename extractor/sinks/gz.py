"""JSON Lines, packed with gzip: `zcat` reads it, the file of a killed run as well."""

from __future__ import annotations

import os
import zlib

from extractor.sinks import Sink, SinkOptions
from extractor.sinks._support.json_text import JsonText
from extractor.storage.append_log import Appending
from extractor.storage.compression import Packed
from extractor.storage.resumable_file import FileSink

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
