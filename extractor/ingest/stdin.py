"""Standard input: JSON Lines, streamed, or one document of any format."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from extractor.data import Document, FailedDocument
from extractor.errors import InputError, Problem
from extractor.ingest.memory import SharedFile, bytes_file
from extractor.ingest.sniffing import HEAD_BYTES, by_head
from extractor.ingest.watch import Watch
from extractor.readers import json_file, jsonl
from extractor.readers._support import json_rows, plain_text
from extractor.readers._support.files import File, ReadOptions, read_up_to, too_large

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NAME = "stdin"


class PrefixedStream(io.RawIOBase):
    """A stream whose first bytes have been read already. Closing it leaves the stream open."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what has arrived, without waiting for a full buffer, so that each row can be read at once."""
        view = memoryview(buffer).cast("B")
        if not self._head:
            self._head = cast(io.BufferedReader, self._rest).read1(len(view))
        count = min(len(view), len(self._head))
        view[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def read(options: ReadOptions, watch: Watch) -> Iterator[Document | FailedDocument | File]:
    """Yield the documents on standard input, with `stdin` (or `stdin#line`) as ids.

    What is not text comes as a File in memory, which exists until the next item is asked for. Waiting for input has no
    limit, and neither has a row, whose JSON takes a time linear in its length.
    """
    if sys.stdin is None:  # Python's word for a descriptor that the shell has closed
        raise InputError("Standard input is closed. Pipe documents into it, or name files.")
    stream = sys.stdin.buffer
    head = b"" if options.stdin == "text" else _first_lines(stream, options.max_bytes)
    if options.stdin == "jsonl" or (options.stdin == "auto" and _is_row(head)):
        whole = io.BufferedReader(PrefixedStream(head, stream))
        yield from jsonl.read(File(NAME, NAME, lambda: cast(BinaryIO, whole)), options)
    else:
        yield from _whole(head, stream, options, watch)


def _first_lines(stream: BinaryIO, limit: int) -> bytes:
    """Return everything up to the end of the first line that is not blank."""
    head = b""
    while (line := stream.readline(limit + 1 - len(head))) and not line.strip():
        head += line
    return head + line


def _is_row(head: bytes) -> bool:
    try:
        return isinstance(json_rows.parse(head.decode("utf-8-sig").strip()), dict)
    except ValueError:
        return False


def _is_list_of_rows(data: bytes) -> bool:
    """Tell whether it is a JSON list of objects, each of them a document as in a file; an empty one holds none."""
    text = data.removeprefix(codecs.BOM_UTF8).strip()
    if not text.startswith(b"[") or not text[1:].lstrip().startswith((b"{", b"]")):
        return False
    try:
        value = json_rows.parse(text.decode())
    except ValueError:
        return False
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _whole(
    head: bytes, stream: BinaryIO, options: ReadOptions, watch: Watch
) -> Iterator[Document | FailedDocument | File]:
    limit = options.max_bytes
    data = head + read_up_to(stream, limit + 1 - len(head))
    file = bytes_file(NAME, NAME, data)
    if len(data) > limit:
        yield file.failed(Problem("too-large", too_large("standard input", limit)))
    elif options.stdin == "auto" and _is_list_of_rows(data):
        yield from watch.documents(file, json_file.read(file, options))
    elif by_head(data[:HEAD_BYTES]).may_be_text:
        yield from watch.documents(file, map(plain_text.from_bytes, (file,), (data,)))
    else:
        shared = SharedFile(file)
        yield shared.file
