"""Gzip: one compressed file, read as it is decompressed: `rows.jsonl.gz/rows.jsonl`."""

from __future__ import annotations

import gzip
import posixpath
from collections.abc import Iterator
from typing import BinaryIO, cast

from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import Budget, unpacking
from extractor.readers._support.signatures import Magic

SUFFIXES = (".gz", ".tgz")
NAME = "a gzip archive"
SIGNATURES = (Magic(b"\x1f\x8b\x08"),)
ISOLATED = True


def read(file: File, options: ReadOptions) -> Iterator[File]:
    """Yield the file inside. Raises OSError where the archive cannot be opened."""
    budget = file.budget or Budget(options.max_bytes)
    stem, suffix = posixpath.splitext(posixpath.basename(file.path))
    name = {".gz": stem, ".tgz": f"{stem}.tar"}.get(suffix.lower(), "unpacked")

    def unpack() -> BinaryIO:
        packed = CountedStream(file.open())
        return unpacking(cast(BinaryIO, gzip.GzipFile(fileobj=packed)), lambda: packed.count, budget)

    yield file.inside(name or "unpacked", unpack, budget)


class CountedStream:
    """A stream that counts the bytes read from it, with the methods that gzip uses."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        data = self._stream.read(size)
        self.count += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, and count from 0 again: gzip only ever rewinds."""
        self.count = 0
        return self._stream.seek(offset, whence)

    def seekable(self) -> bool:
        return self._stream.seekable()

    def close(self) -> None:
        self._stream.close()
