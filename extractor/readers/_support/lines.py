"""Lines of a text file of any size, decoded one by one: a broken line fails alone.

The encoding is detected once, from the first mebibyte. A stream that cannot seek (a pipe) is taken for UTF-8, which
JSON is by definition, so that a row is out as soon as it is in.
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
from extractor.errors import Problem
from extractor.readers._support.files import File, too_large

HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TextLine:
    """Line `number` (from 1) with its line end.

    Where there is a `problem`, undecodable bytes are lone surrogates in the text, and a line above the limit is cut.
    """

    number: int
    text: str
    problem: Problem | None = None


def detect(stream: BinaryIO) -> str | Undecodable:
    """Return the encoding of the stream, which is at its beginning before and after."""
    if not stream.seekable():
        return "utf-8"
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    decoded = sniff(head)
    if isinstance(decoded, Undecodable):
        return decoded.nearly or decoded
    return decoded.encoding


def count(file: File) -> int:
    """Return how many lines a file has, an unfinished last one included. Raises OSError where it cannot be opened."""
    found, last = 0, b"\n"
    with file.open() as stream:
        while block := stream.read(HEAD_BYTES):
            found, last = found + block.count(b"\n"), block
    return found + (not last.endswith(b"\n"))


def failure(file: File, stream: BinaryIO, problem: Problem) -> FailedDocument:
    """Return the failure of a whole file that has been opened, with the hash of its bytes."""
    if stream.seekable():
        stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(HEAD_BYTES):
        digest.update(block)
    return file.failed(problem, digest.hexdigest())


def lines(stream: BinaryIO, encoding: str, limit: int) -> Iterator[TextLine]:
    """Yield the lines of a stream; one of more than `limit` bytes is skipped without being held."""
    if encoding.startswith(("utf-16", "utf-32")):
        return _wide(stream, encoding, limit)
    return _narrow(stream, encoding, limit)


def _narrow(stream: BinaryIO, encoding: str, limit: int) -> Iterator[TextLine]:
    """Yield lines of an encoding other than UTF-16 and UTF-32: in all of those a line feed is the byte 0x0A alone."""
    for number in itertools.count(1):
        raw = stream.readline(limit + 1)
        if not raw:
            return
        if len(raw) > limit and not raw.endswith(b"\n"):
            while (more := stream.readline(HEAD_BYTES)) and not more.endswith(b"\n"):
                pass
            yield TextLine(number, "", Problem("too-large", too_large("the line", limit)))
        else:
            # only the first line can begin with the byte-order mark that "utf-8-sig" removes
            yield _line(number, raw, encoding if number == 1 else encoding.removesuffix("-sig"))


def _line(number: int, raw: bytes, encoding: str) -> TextLine:
    try:
        return TextLine(number, raw.decode(encoding))
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the line is not {encoding} ({error.reason}): repair the line"
        return TextLine(number, raw.decode("ascii", "surrogateescape"), Problem("encoding", message))


def _wide(stream: BinaryIO, encoding: str, limit: int) -> Iterator[TextLine]:
    """Yield lines of UTF-16 or UTF-32; after a broken unit nothing can be trusted, so the rest counts as one line."""
    text = io.TextIOWrapper(stream, encoding, newline="\n")
    number = 0
    try:
        while content := text.readline(limit + 1):
            number += 1
            if len(content) > limit and not content.endswith("\n"):
                while (more := text.readline(HEAD_BYTES)) and not more.endswith("\n"):
                    pass
                yield TextLine(number, "", Problem("too-large", too_large("the line", limit)))
            else:
                yield TextLine(number, content)
    except UnicodeDecodeError as error:
        message = f"not {encoding} from here on ({error.reason}): repair the file"
        yield TextLine(number + 1, "\ufffd", Problem("encoding", message))
    finally:
        text.detach()
