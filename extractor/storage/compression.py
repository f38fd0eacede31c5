"""Compression of an output by the suffix of its path: `.gz` (gzip), `.zst` (Zstandard), or none.

A run appends one member (gzip) or frame (Zstandard). It is flushed after every row, so that a kill loses none; the end
of the member is then missing, which the next start finds out.
"""

from __future__ import annotations

import contextlib
import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from extractor.errors import OutputError, UsageError

BLOCK_BYTES = 1 << 17
LEVEL = 6
GZIP_WINDOW = 31
"""Window bits for which zlib writes and reads the gzip format."""


class Compressor:
    """The bytes of one run, compressed; this one leaves them as they are."""

    def add(self, data: bytes) -> bytes:
        """Return bytes from which all that was added so far can be read."""
        return data

    def end(self) -> bytes:
        """Return the bytes that close what `add` began."""
        return b""


class Decompressor(Protocol):
    """What zlib and zstandard have in common: `eof` after the end of a member, and the bytes that follow it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class LineReader:
    """The lines of a file from its beginning, decompressed. After the last one, `size` is the number of their bytes,
    and `torn` says whether the end of a compressed file is missing."""

    def __init__(self, stream: io.BufferedReader, members: _MemberReader | None = None) -> None:
        self._stream = stream
        self._members = members
        self.size = 0

    @property
    def torn(self) -> bool:
        return self._members is not None and self._members.torn

    def peek(self, size: int) -> bytes:
        """Return the first bytes, fewer where the file is shorter; they come again as part of the lines."""
        return self._stream.peek(size)[:size]

    def read(self, limit: int) -> bytes:
        """Return what follows, at most `limit` bytes."""
        data = self._stream.read(limit)
        self.size += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            self.size += len(line)
            yield line


@dataclass(frozen=True, slots=True)
class Codec:
    """How a file is compressed; not at all without a `decompressor`. `damage` is what that raises for other bytes."""

    compressor: Callable[[], Compressor] = Compressor
    decompressor: Callable[[], Decompressor] | None = None
    damage: type[Exception] = ValueError

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[LineReader]:
        """Open a file for reading. Raises OSError; the lines raise OutputError where they are damaged."""
        with open(path, "rb") as stream:
            if self.decompressor is None:
                yield LineReader(stream)
            else:
                members = _MemberReader(stream, self.decompressor, self.damage, path)
                yield LineReader(io.BufferedReader(members, BLOCK_BYTES), members)

    def truncate(self, path: str, size: int) -> bool:
        """Cut a file to so many decompressed bytes; return False where only compressing it again can do that."""
        if self.decompressor is None:
            os.truncate(path, size)
        return self.decompressor is None


class _MemberReader(io.RawIOBase):
    """The bytes in a file of one compressed member after the other, as far as they go."""

    def __init__(
        self, stream: BinaryIO, decompressor: Callable[[], Decompressor], damage: type[Exception], path: str
    ) -> None:
        self._stream = stream
        self._decompressor = decompressor
        self._damage = damage
        self._path = path
        self._member: Decompressor | None = None
        self._rest = b""

    @property
    def torn(self) -> bool:
        return self._member is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # all that BufferedReader gives
        while not self._rest:
            block = self._stream.read(BLOCK_BYTES)
            if not block:
                return 0
            self._rest = self._decompress(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def _decompress(self, block: bytes) -> bytes:
        """Return what a block adds: it may end one member and begin others."""
        pieces = []
        while block:
            member = self._member = self._member or self._decompressor()
            try:
                pieces.append(member.decompress(block))
            except self._damage as error:
                message = (
                    f"{self._path} is damaged, or not compressed as its suffix says ({error}). Nothing was changed. "
                )
                raise OutputError(f"{message}Choose another -o, or use --overwrite to start it again.") from error
            block = b""
            if member.eof:
                block, self._member = member.unused_data, None
        return b"".join(pieces)


class _GzipMember(Compressor):
    def __init__(self) -> None:
        self._member = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)

    def add(self, data: bytes) -> bytes:
        return self._member.compress(data) + self._member.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._member.flush(zlib.Z_FINISH)


class _ZstandardFrame(Compressor):
    def __init__(self) -> None:
        import zstandard

        self._block, self._last = zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH
        self._frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()

    def add(self, data: bytes) -> bytes:
        return self._frame.compress(data) + self._frame.flush(self._block)

    def end(self) -> bytes:
        return self._frame.flush(self._last)


def _gzip() -> Codec:
    return Codec(_GzipMember, lambda: zlib.decompressobj(GZIP_WINDOW), zlib.error)


def _zstandard() -> Codec:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise UsageError("Zstandard needs the package zstandard: pip install 'chatglm3-extractor[zstd]'") from error
    return Codec(_ZstandardFrame, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)


PLAIN = Codec()
_CODECS: Mapping[str, Callable[[], Codec]] = {".gz": _gzip, ".zst": _zstandard}


def codec_of(path: str) -> Codec:
    """Return the codec that the suffix of a path names. Raises UsageError where a package for it is missing."""
    make = _CODECS.get(os.path.splitext(path)[1].lower())
    return make() if make else PLAIN


def with_codecs(*suffixes: str) -> tuple[str, ...]:
    """Return the suffixes of a format, each plain and with that of each codec: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`."""
    return tuple(f"{suffix}{codec}" for suffix in suffixes for codec in ("", *_CODECS))
