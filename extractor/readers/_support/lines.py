"""Lines of a text file of any size, decoded one by one: a broken line fails alone.

The encoding is found once, from the first mebibyte. A stream that cannot go back (a pipe) is taken as UTF-8, which
JSON is by definition, so that a row leaves as soon as it has come.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from extractor.data import FailedDocument
from extractor.encodings.detect import Undecodable, sniff
from extractor.readers._support.files import File, too_large

HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """Line `number` (from 1) with its line end. Where there is a `problem`, undecodable bytes stand in the text as
    lone surrogates and a line above the limit is cut."""

    number: int
    text: str
    problem: Undecodable | None = None


def detect(stream: BinaryIO) -> str | Undecodable:
    """The encoding of the stream, which stands at its beginning before and after."""
    if not stream.seekable():
        return "utf-8"
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    decoded = sniff(head)
    if isinstance(decoded, Undecodable):
        return decoded.nearly or decoded
    return decoded.encoding


def count(file: File) -> int:
    """The lines of a file, an unfinished last one included. Raises OSError where it cannot be opened."""
    found, last = 0, b"\n"
    with file.open() as stream:
        while block := stream.read(HEAD_BYTES):
            found, last = found + block.count(b"\n"), block
    return found + (not last.endswith(b"\n"))


def failure(file: File, stream: BinaryIO, problem: Undecodable) -> FailedDocument:
    """The failure of a whole file that has been opened, with the hash of its bytes."""
    if stream.seekable():
        stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(HEAD_BYTES):
        digest.update(block)
    return file.failed(problem, digest.hexdigest())


def lines(stream: BinaryIO, encoding: str, limit: int) -> Iterator[Line]:
    """The lines of a stream; one of more than `limit` bytes is passed over without being held."""
    if encoding.startswith(("utf-16", "utf-32")):
        return _wide(stream, encoding, limit)
    return _narrow(stream, encoding, limit)


def _narrow(stream: BinaryIO, encoding: str, limit: int) -> Iterator[Line]:
    """A line feed is the byte 0x0A and nothing else in all encodings that are not UTF-16 or UTF-32."""
    for number in itertools.count(1):
        raw = stream.readline(limit + 1)
        if not raw:
            return
        if len(raw) > limit and not raw.endswith(b"\n"):
            while (more := stream.readline(HEAD_BYTES)) and not more.endswith(b"\n"):
                pass
            yield Line(number, "", Undecodable("too-large", too_large("the line", limit)))
        else:
            yield _line(number, raw, encoding if number == 1 else encoding.removesuffix("-sig"))


def _line(number: int, raw: bytes, encoding: str) -> Line:
    try:
        return Line(number, raw.decode(encoding))
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the line is not {encoding} ({error.reason}): repair the line"
        return Line(number, raw.decode("ascii", "surrogateescape"), Undecodable("encoding", message))


def _wide(stream: BinaryIO, encoding: str, limit: int) -> Iterator[Line]:
    """After a broken unit of UTF-16 or UTF-32 nothing can be trusted, so the rest counts as one line."""
    text = io.TextIOWrapper(stream, encoding, newline="\n")
    number = 0
    try:
        while content := text.readline(limit + 1):
            number += 1
            if len(content) > limit and not content.endswith("\n"):
                while (more := text.readline(HEAD_BYTES)) and not more.endswith("\n"):
                    pass
                yield Line(number, "", Undecodable("too-large", too_large("the line", limit)))
            else:
                yield Line(number, content)
    except UnicodeDecodeError as error:
        message = f"not {encoding} from here on ({error.reason}): repair the file"
        yield Line(number + 1, "\ufffd", Undecodable("encoding", message))
    finally:
        text.detach()
