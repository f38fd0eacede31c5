"""Files that grow at their end, compressed or not: the rows of a document are one write to the operating system, so
killing the run cannot lose them.

The disk itself gets the rows (fsync) about every second and at the end: a power cut can cost that second, and the next
start does it again. How a record becomes bytes is the business of a format, which fills in `encode` and `documents`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

from extractor.data import Record
from extractor.storage import atomic_files
from extractor.storage.compression import Codec, Compressor, LineReader, codec_of
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.present import Present
from extractor.storage.resume import ResumeState, RowSummary
from extractor.storage.sink import SinkOptions


class AppendLog(ABC):
    """A `Format` of rows that are appended. A torn end of a plain file is cut off; a compressed file is written again
    without it. The codec is that of the path's suffix unless one is given."""

    header = b""

    def __init__(self, path: str, options: SinkOptions, codec: Codec | None = None) -> None:
        self._path = path
        self._options = options
        self._codec = codec or codec_of(path)
        self._descriptor = -1
        self._compressor: Compressor | None = None

    @abstractmethod
    def encode(self, record: Record) -> bytes:
        """Return all rows of a record, each with its line end."""

    @abstractmethod
    def documents(self, lines: LineReader) -> Iterator[tuple[bytes, RowSummary]]:
        """Yield each whole document: its rows as they are in the file after the header, and what they say.

        A torn end is left out. Raises OutputError for a file that holds anything else.
        """

    def read(self) -> Iterator[tuple[bytes, RowSummary]]:
        """Yield the documents of the file. Raises OSError, OutputError."""
        with self._codec.open(self._path) as lines:
            yield from self.documents(lines)

    def rows(self) -> Iterator[RowSummary]:
        return (row for _, row in self.read())

    def resume(self) -> ResumeState:
        if not os.path.exists(self._path):
            return ResumeState()
        state, whole = self._load()
        if state.stale or not whole:
            self._compact()
            state, _ = self._load()
        return state

    def _load(self) -> tuple[ResumeState, bool]:
        """Return what the file holds, and whether it ends with its last row, if need be after cutting it there."""
        state, end = ResumeState(), len(self.header)
        with self._codec.open(self._path) as lines:
            for raw, row in self.documents(lines):
                state.load(self._path, row, self._options)
                end += len(raw)
        end = end if state.table else 0
        return state, not lines.torn and (lines.size == end or self._codec.truncate(self._path, end))

    def open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | atomic_files.BINARY
        self._descriptor = os.open(self._path, flags, 0o644)

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def append(self, record: Record) -> None:
        self._append(self.encode(record))

    def _append(self, rows: bytes) -> None:
        header = b"" if os.fstat(self._descriptor).st_size else self.header
        self._compressor = self._compressor or self._codec.compressor()
        atomic_files.append(self._descriptor, self._compressor.add(header + rows))

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def finish(self, state: ResumeState, present: Present | None) -> ResumeState:
        if not os.fstat(self._descriptor).st_size:
            self._append(b"")
        if self._compressor is not None:
            atomic_files.append(self._descriptor, self._compressor.end())
            self._compressor = None
        return self._compact(present) if state.stale or present else state

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _compact(self, present: Present | None = None) -> ResumeState:
        """Keep the last rows of each id that is `present`, in their order, in one step; return what is left."""
        last = DigestTable()
        for number, (_, row) in enumerate(self.read()):
            if present is None or present.holds(row.id, row.path):
                last.set(digest(row.id), number)
        state = ResumeState()
        atomic_files.replace(self._path, self._compacted(last, state))
        return state

    def _compacted(self, last: DigestTable, state: ResumeState) -> Iterator[bytes]:
        """Yield the bytes of a file with the documents whose numbers are in `last`."""
        compressor = self._codec.compressor()
        yield compressor.add(self.header)
        for number, (raw, row) in enumerate(self.read()):
            if last.get(digest(row.id)) == number:
                state.add(row)
                yield compressor.add(raw)
        yield compressor.end()
