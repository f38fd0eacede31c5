"""Limits for what unpacks, against archives that are made to fill memory or disk; and the errors that end reading.

Nothing that an archive says about itself is believed: bytes are counted as they come out.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from extractor.errors import Code, Problem

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MEMBERS = 10_000
NESTING = 5
RATIO = 200
"""What one byte may unpack to, once `RATIO_FROM` bytes have come out: text packs to a tenth, rarely to a hundredth."""
RATIO_FROM = 16 << 20
DOCUMENTS = 64
"""How many of the largest documents (`max_bytes`) an archive may unpack to, with all that is inside it."""

DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


class ReadError(Exception):
    """A file cannot be read, and why. It ends the reading of that file alone."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message)

    @classmethod
    def of(cls, problem: Problem) -> ReadError:
        """Return the error for a problem that is known already."""
        return ReadError(problem.code, problem.message)


class Bomb(ReadError):
    """An archive is beyond the limits. It ends the reading of the whole file on the disk."""

    def __init__(self, message: str) -> None:
        super().__init__("bomb", f"{message}; the rest of it was not read: unpack it yourself and give the folder")


class Budget:
    """The bytes that an archive, and the archives inside it, may still unpack to, and the files that they may hold."""

    def __init__(self, max_bytes: int) -> None:
        self._total = self._left = DOCUMENTS * max_bytes
        self._members = MEMBERS

    def enter(self, members: int) -> None:
        """Take the files of one archive from the budget. Raises Bomb when there are too many in all."""
        self._members -= members
        if self._members < 0:
            raise Bomb(f"the archive holds more than {MEMBERS:,} files, with those of archives inside it")

    def spend(self, count: int) -> None:
        """Take bytes from the budget. Raises Bomb when there is nothing left."""
        self._left -= count
        if self._left < 0:
            raise Bomb(f"the archive unpacks to more than {self._total:,} bytes ({DOCUMENTS} times --max-bytes)")


class Unpacking(io.RawIOBase):
    """A stream that unpacks: its bytes are counted, and damage becomes a ReadError. `packed` returns the bytes read so
    far, or in all, of what it unpacks."""

    def __init__(self, stream: BinaryIO, packed: Callable[[], int], budget: Budget) -> None:
        self._stream = stream
        self._packed = packed
        self._budget = budget

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer. Raises ReadError for damage, and Bomb beyond the budget or the ratio."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(view))
        except DAMAGE as error:
            raise damaged("archive", error) from error
        view[: len(data)] = data
        self._budget.spend(len(data))
        unpacked = self._stream.tell()
        if unpacked > RATIO_FROM and unpacked > RATIO * self._packed():
            raise Bomb(f"the archive unpacks to more than {RATIO} times its size")
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def unpacking(stream: BinaryIO, packed: Callable[[], int], budget: Budget) -> BinaryIO:
    """Return the stream, buffered and counted."""
    return cast(BinaryIO, io.BufferedReader(Unpacking(stream, packed, budget), io.DEFAULT_BUFFER_SIZE * 8))


def damaged(what: str, error: BaseException | str) -> ReadError:
    """Return the error for a file that begins as its format should and is broken further on, in the library's words."""
    detail = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
    return ReadError("damaged", f"the {what} is damaged or cut off ({detail}): get it again, or repair it")
