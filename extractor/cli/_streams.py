"""The standard streams as commands use them: UTF-8, and nothing that a terminal would obey.

Standard error is always escaped: ids, file names and the words of documents go there. Standard output is escaped where
it is a terminal; a file or a pipe gets what there is.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from extractor.errors import OutputError
from extractor.text.printable import lines


class EscapedStream:
    """A text stream whose texts are escaped; `plain` is the stream itself, for a progress bar."""

    def __init__(self, plain: TextIO) -> None:
        self.plain = plain

    def write(self, text: str) -> int:
        """Write a text; return its length, as it was given."""
        self.plain.write(lines(text))
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        """Write several texts."""
        for text in texts:
            self.write(text)

    @property
    def buffer(self) -> EscapedBytes:
        return EscapedBytes(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class EscapedBytes:
    """The bytes of an escaped stream: whole texts in UTF-8."""

    def __init__(self, stream: EscapedStream) -> None:
        self._stream = stream

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes; return how many."""
        self._stream.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


class ClosedOutput:
    """Standard output where the shell has closed it: whatever is to go there is an error."""

    encoding, errors, closed = "utf-8", "strict", False

    def write(self, text: str) -> int:
        """Raise OutputError."""
        raise OutputError("standard output cannot be written: it is closed. Leave out the `>&-`, or name a file.")

    @property
    def buffer(self) -> ClosedOutput:
        return self

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return False


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """Take UTF-8 and escape what a terminal would obey, in place of the standard streams."""
    before = sys.stdin, sys.stdout, sys.stderr
    _use_utf8()
    sys.stderr = _escaped(sys.stderr or open(os.devnull, "w"))  # noqa: SIM115  # until the process ends
    sys.stdout = _closed() if sys.stdout is None else _escaped(sys.stdout) if sys.stdout.isatty() else sys.stdout
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _escaped(stream: TextIO) -> TextIO:
    return cast(TextIO, EscapedStream(stream))


def _closed() -> TextIO:
    return cast(TextIO, ClosedOutput())


def _use_utf8() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                encoding="utf-8", errors="surrogateescape" if stream is sys.stdin else "backslashreplace"
            )
