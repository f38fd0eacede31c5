"""How the text of an output is packed: not at all, or as a stream that can be unpacked up to each row that was written.

A run adds one member (gzip) or frame (Zstandard) to the file. It is flushed behind every row, so that a kill loses
none; the end of one that was killed is missing, which the next start finds out.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from extractor.errors import OutputError
from extractor.storage.append_log import Encoder, Reading

BLOCK_BYTES = 1 << 17


class Decompressor(Protocol):
    """What zlib and zstandard have in common: `eof` after the end of a member, `unused_data` behind it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Lines:
    """The lines of a file; `packed` is what unpacks them, if they are packed."""

    def __init__(self, stream: io.BufferedReader, packed: Unpacked | None = None) -> None:
        self._stream = stream
        self._packed = packed
        self.size = 0

    @property
    def torn(self) -> bool:
        return self._packed is not None and self._packed.torn

    def peek(self, size: int) -> bytes:
        return self._stream.peek(size)[:size]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            self.size += len(line)
            yield line


class Plain:
    """No packing."""

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Reading]:
        with open(path, "rb") as stream:
            yield Lines(stream)

    def encoder(self) -> Encoder:
        return self

    def cut(self, path: str, size: int) -> bool:
        os.truncate(path, size)
        return True

    def add(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class Unpacked(io.RawIOBase):
    """The text in a packed stream of one member after the other, as far as it goes. `torn` says that the last one has
    no end. Raises OutputError for what is not packed so, or damaged."""

    def __init__(self, stream: BinaryIO, codec: Packed, path: str) -> None:
        self._stream = stream
        self._codec = codec
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
            packed = self._stream.read(BLOCK_BYTES)
            if not packed:
                return 0
            self._rest = self._unpack(packed)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def _unpack(self, packed: bytes) -> bytes:
        pieces = []
        while packed:
            member = self._member = self._member or self._codec.decompressor()
            try:
                pieces.append(member.decompress(packed))
            except self._codec.damage as error:
                message = f"{self._path} is damaged, or not packed as its suffix says ({error}). Nothing was changed. "
                raise OutputError(f"{message}Choose another -o, or use --overwrite to begin it anew.") from error
            packed = b""
            if member.eof:
                packed, self._member = member.unused_data, None
        return b"".join(pieces)


class Packed:
    """Packing in members. `damage` is what unpacking raises for bytes that are no such member."""

    def __init__(
        self,
        encoder: Callable[[], Encoder],
        decompressor: Callable[[], Decompressor],
        damage: type[Exception],
    ) -> None:
        self.encoder = encoder
        self.decompressor = decompressor
        self.damage = damage

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Reading]:
        with open(path, "rb") as stream:
            unpacked = Unpacked(stream, self, path)
            yield Lines(io.BufferedReader(unpacked, BLOCK_BYTES), unpacked)

    def cut(self, path: str, size: int) -> bool:
        return False
