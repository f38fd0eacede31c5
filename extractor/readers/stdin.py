"""Standard input: JSON Lines, streamed, or one text."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from extractor.readers import jsonl, text
from extractor.readers.files import File, ReadOptions, read_up_to, too_large
from extractor.types import Document, Unreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NAME = "stdin"


class Resumed(io.RawIOBase):
    """A stream whose first bytes have been read already. Closing it leaves the stream open."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Whatever is there now, so that a row that has come is a row that can be read."""
        view = memoryview(buffer).cast("B")
        if not self._head:
            self._head = cast(io.BufferedReader, self._rest).read1(len(view))
        count = min(len(view), len(self._head))
        view[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def read(options: ReadOptions) -> Iterator[Document | Unreadable]:
    """The documents on standard input, with `stdin` (or `stdin#line`) as ids."""
    stream = sys.stdin.buffer
    head = b"" if options.stdin == "text" else _first_lines(stream, options.max_bytes)
    if options.stdin == "jsonl" or (options.stdin == "auto" and _is_row(head)):
        resumed = io.BufferedReader(Resumed(head, stream))
        return jsonl.read(File(NAME, NAME, lambda: cast(BinaryIO, resumed)), options)
    return iter((_whole(head, stream, options.max_bytes),))


def _first_lines(stream: BinaryIO, limit: int) -> bytes:
    """Up to and with the first line that is not blank."""
    head = b""
    while (line := stream.readline(limit + 1 - len(head))) and not line.strip():
        head += line
    return head + line


def _is_row(head: bytes) -> bool:
    try:
        return isinstance(jsonl.parse(head.decode("utf-8-sig").strip()), dict)
    except ValueError:
        return False


def _whole(head: bytes, stream: BinaryIO, limit: int) -> Document | Unreadable:
    data = head + read_up_to(stream, limit + 1 - len(head))
    file = File(NAME, NAME, lambda: cast(BinaryIO, io.BytesIO(data)))
    if len(data) > limit:
        return file.unreadable("too-large", too_large("standard input", limit))
    return text.from_bytes(file, data)
