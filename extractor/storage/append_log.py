"""Text files that grow at their end, packed or not: each document's rows are one write to the operating system, so
killing the run cannot lose them.

The disk itself is made to have the rows (fsync) about every second and at the end: what a power cut can cost is that
second, and the restart does it again. How rows are written as text, and how text is packed, is handed in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from extractor.data import Record
from extractor.sinks import SinkOptions
from extractor.storage import atomic_files
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.resume import Done, Row, check


class Reading(Protocol):
    """The lines of a file from its beginning. Once they are all taken, `size` is the number of their bytes, and `torn`
    says whether the end of what is packed is missing."""

    size: int

    @property
    def torn(self) -> bool: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def peek(self, size: int) -> bytes:
        """The first bytes, fewer where there are not as many; they are to come again as part of the lines."""
        ...


class Encoder(Protocol):
    """Packs pieces; what `add` returns can be unpacked as soon as it is there. `end` closes what `add` began."""

    def add(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Codec(Protocol):
    """How text is packed. Files that are packed in several goes are put one behind the other."""

    def open(self, path: str) -> AbstractContextManager[Reading]: ...

    def encoder(self) -> Encoder: ...

    def cut(self, path: str, size: int) -> bool:
        """Leave only so many bytes of text, and say so; False where that takes packing anew."""
        ...


class Text(Protocol):
    """How the rows of a document are written."""

    header: bytes

    def encode(self, record: Record) -> bytes:
        """All rows of a document, each with its line end."""
        ...

    def documents(self, reading: Reading, path: str) -> Iterator[tuple[bytes, Row]]:
        """Each whole document: its rows as they stand below the header, and what they say. What is torn at the end is
        left out.

        Raises OutputError for a file that holds anything else.
        """
        ...


class Appending:
    """The rows of a text file. A torn end of a plain file is cut off; a packed file is packed anew without it."""

    def __init__(self, path: str, options: SinkOptions, text: Text, codec: Codec) -> None:
        self._path = path
        self._options = options
        self._text = text
        self._codec = codec
        self._descriptor = -1
        self._encoder: Encoder | None = None

    def resume(self) -> Done:
        if not os.path.exists(self._path):
            return Done()
        done, drop_failed = Done(), self._options.retry_failed
        end = len(self._text.header)
        with self._codec.open(self._path) as reading:
            for rows, row in self._text.documents(reading, self._path):
                check(self._path, row.fingerprint, self._options)
                done.add(row)
                end += len(rows)
        end = end if done.table else 0
        whole = not reading.torn and (reading.size == end or self._codec.cut(self._path, end))
        if done.stale or (drop_failed and done.failed) or not whole:
            return self._compact(drop_failed=drop_failed)
        return done

    def open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | atomic_files.BINARY
        self._descriptor = os.open(self._path, flags, 0o644)

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def append(self, record: Record) -> None:
        self._add(self._text.encode(record))

    def _add(self, rows: bytes) -> None:
        header = b"" if os.fstat(self._descriptor).st_size else self._text.header
        self._encoder = self._encoder or self._codec.encoder()
        atomic_files.append(self._descriptor, self._encoder.add(header + rows))

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def finish(self, done: Done) -> Done:
        if not os.fstat(self._descriptor).st_size:
            self._add(b"")
        if self._encoder is not None:
            atomic_files.append(self._descriptor, self._encoder.end())
            self._encoder = None
        return self._compact() if done.stale else done

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _compact(self, *, drop_failed: bool = False) -> Done:
        """Keep the last rows of each id, in the order of the file, in one step."""
        last = DigestTable()
        with self._codec.open(self._path) as reading:
            for number, (_, row) in enumerate(self._text.documents(reading, self._path)):
                last.set(digest(row.id), number)
        done = Done()
        atomic_files.replace(self._path, self._packed(self._kept(last, done, drop_failed)))
        return done

    def _kept(self, last: DigestTable, done: Done, drop_failed: bool) -> Iterator[bytes]:
        with self._codec.open(self._path) as reading:
            for number, (rows, row) in enumerate(self._text.documents(reading, self._path)):
                if last.get(digest(row.id)) == number and not (drop_failed and row.status == "failed"):
                    done.add(row)
                    yield rows

    def _packed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        encoder = self._codec.encoder()
        yield encoder.add(self._text.header)
        for piece in pieces:
            yield encoder.add(piece)
        yield encoder.end()
