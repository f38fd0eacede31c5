"""A file that is resumed, whatever its format: locked, checked, begun late, and whole when a run ends cleanly.

A row goes from the sink to the format, and from there to the file. This module knows no formats.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from extractor.data import Record, Status
from extractor.errors import OutputError, OutputMismatch
from extractor.storage import atomic_files, manifest
from extractor.storage.locks import locked
from extractor.storage.present import Present
from extractor.storage.resume import ResumeState, RowSummary, count_stale
from extractor.storage.run_progress import ProgressNotes
from extractor.storage.sink import SinkOptions


class Format(Protocol):
    """How rows are kept in one file. Everything may raise OSError."""

    def resume(self) -> ResumeState:
        """Make what is there ready to be resumed, a torn end cut off, and return what it holds.

        Raises OutputMismatch for rows of another fingerprint or version, OutputError for a file that is not ours: both
        leave it untouched.
        """
        ...

    def open(self) -> None:
        """Take what writing needs; change nothing that is there."""
        ...

    def clear(self) -> None:
        """Drop all rows."""
        ...

    def append(self, record: Record) -> None:
        """Write the rows of a record, all or none of them."""
        ...

    def sync(self) -> None:
        """Make the disk itself take what was written."""
        ...

    def rows(self) -> Iterator[RowSummary]:
        """Yield what the rows of each document say, superseded ones among them."""
        ...

    def finish(self, state: ResumeState, present: Present | None) -> ResumeState:
        """Make the file whole at a clean end, superseded rows dropped, and those of documents that are not `present`;
        return what it holds then."""
        ...

    def close(self) -> None:
        """Give back what `open` or `resume` took."""
        ...


class ResumableSink:
    """A file that is locked while it is entered. Nothing of an earlier run is dropped before there is a row to write:
    a run whose model does not load leaves the output as it was, `overwrite` or not."""

    def __init__(self, path: str, options: SinkOptions, format: Format) -> None:
        self._path = path
        self._options = options
        self._format = format
        self._notes = ProgressNotes(path, options)
        self._resources = contextlib.ExitStack()
        self._state = ResumeState()
        self._present: Present | None = None
        self._begun = False
        self._opened = self._synced = 0.0
        self._rows = 0

    def __enter__(self) -> ResumableSink:
        if os.path.isdir(self._path):
            raise OutputError(f"{self._path} is a folder. Name a file in it, such as results.jsonl.")
        with contextlib.ExitStack() as resources:
            try:
                self._open(resources)
            except OSError as error:
                raise atomic_files.output_error(self._path, error, "what it holds is safe") from error
            self._resources = resources.pop_all()
        return self

    def _open(self, resources: contextlib.ExitStack) -> None:
        os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
        resources.enter_context(locked(self._path))
        resources.callback(self._format.close)
        resources.callback(self._notes.stop)
        if not self._options.overwrite:
            self._state = self._format.resume()
        else:
            self._check_is_output()
        self._format.open()
        self._opened = self._synced = time.monotonic()

    def _check_is_output(self) -> None:
        """Raise OutputError for a file that is to be overwritten and was not written by this program."""
        if os.path.exists(manifest.path_of(self._path)) or not os.path.exists(self._path):
            return
        try:
            self._format.resume()
        except OutputMismatch:  # an output of other settings, or of another version
            pass
        except OutputError as error:
            raise OutputError(f"{error} --overwrite replaces outputs alone.") from error

    def _begin(self) -> None:
        """Note the settings, and drop what is to be overwritten, before the first row."""
        if not self._begun:
            options = self._options
            if options.overwrite:
                self._format.clear()
            manifest.write(self._path, options.fingerprint, options.settings, restart=options.overwrite)
            self._begun = True

    def __exit__(self, *exc: object) -> None:
        """Make the file whole. After an exception it is left as it is, so that stopping is quick; the next start tidies
        up."""
        clean = not any(exc)
        with self._resources:
            try:
                if clean:
                    self._begin()
                    self._state = self._format.finish(self._state, self._present)
                self._format.sync()
            except OSError as error:
                raise self._error(error) from error
            if clean:
                self._note_work()

    def _note_work(self) -> None:
        """Note what the rows add up to. No row depends on it, so a full disk does not make it an error."""
        work = manifest.Work(self._rows, time.monotonic() - self._opened if self._rows else 0.0)
        with contextlib.suppress(OSError):
            manifest.add_work(self._path, self._options.fingerprint, work, self._state.totals, self._notes.end("ended"))

    def done(self, id: str, sha256: str) -> Status | None:
        return self._state.status(id, sha256)

    def write(self, record: Record) -> None:
        try:
            self._begin()
            self._notes.begin()
            self._format.append(record)
            self._sync()
        except OSError as error:
            raise self._error(error) from error
        self._rows += 1
        self._state.add(RowSummary.of(record))

    def count_stale(self, present: Present) -> int:
        try:
            return count_stale(self._format.rows(), present) if self._state.may_be_stale(present) else 0
        except OSError as error:
            raise self._error(error) from error

    def prune(self, present: Present) -> None:
        self._present = present

    def _sync(self) -> None:
        now = time.monotonic()
        if now - self._synced >= self._options.sync_seconds:
            self._format.sync()
            self._synced = now

    def _error(self, error: OSError) -> OutputError:
        return atomic_files.output_error(self._path, error, f"{len(self._state.table)} rows are safe")


def files_of(path: str, beside: Sequence[str] = ()) -> tuple[str, ...]:
    """Return an output and all that may lie beside it, now or after a kill; `beside` are suffixes of its format."""
    noted = manifest.path_of(path)
    return (*(f"{path}{suffix}" for suffix in ("", ".lock", ".tmp", *beside)), noted, f"{noted}.tmp")
