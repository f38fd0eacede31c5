"""A file that is gone on with, whatever its format: locked, checked, begun late, and whole when a run ends cleanly.

How rows are kept in the file is the business of a Table; this module knows no formats.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Protocol

from extractor.data import Record
from extractor.errors import OutputError
from extractor.sinks import SinkOptions, Status
from extractor.storage import atomic_files, manifest
from extractor.storage.locks import locked
from extractor.storage.resume import Done, Row


class Table(Protocol):
    """The rows in one file of one format. Everything may raise OSError."""

    def resume(self) -> Done:
        """Make what is there ready to be gone on with, a torn end cut off, and say what it holds.

        Raises OutputMismatch for rows of another fingerprint, OutputError for a file that is not ours: both leave it
        untouched.
        """
        ...

    def open(self) -> None:
        """Take what writing needs; changes nothing that is there."""
        ...

    def clear(self) -> None:
        """Drop all rows."""
        ...

    def append(self, record: Record) -> None:
        """Write the rows of a document, all or none of them."""
        ...

    def sync(self) -> None:
        """Have the disk itself take what was written."""
        ...

    def finish(self, done: Done) -> Done:
        """Make the file whole at a clean end, superseded rows dropped; returns what it holds then."""
        ...

    def close(self) -> None: ...


class FileSink:
    """A file that is locked while it is entered. Nothing of an earlier run is given up before there is a row to write:
    a run whose model does not load leaves the output as it was, `overwrite` or not."""

    def __init__(self, path: str, options: SinkOptions, table: Table) -> None:
        self._path = path
        self._options = options
        self._table = table
        self._resources = contextlib.ExitStack()
        self._done = Done()
        self._begun = False
        self._opened = self._synced = 0.0
        self._rows = 0

    def __enter__(self) -> FileSink:
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
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        resources.enter_context(locked(self._path))
        if not self._options.overwrite:
            self._done = self._table.resume()
        resources.callback(self._table.close)
        self._table.open()
        self._opened = self._synced = time.monotonic()

    def _begin(self) -> None:
        if not self._begun:
            options = self._options
            if options.overwrite:
                self._table.clear()
            manifest.write(self._path, options.fingerprint, options.settings, anew=options.overwrite)
            self._begun = True

    def __exit__(self, *exc: object) -> None:
        """After an exception the file is left as it is, so that stopping is quick; the next start tidies up."""
        clean = not any(exc)
        with self._resources:
            try:
                if clean:
                    self._begin()
                    self._done = self._table.finish(self._done)
                self._table.sync()
            except OSError as error:
                raise self._error(error) from error
            if clean:
                self._note_work()

    def _note_work(self) -> None:
        """Note what the rows add up to. No row depends on it, so a full disk does not make it an error."""
        work = manifest.Work(self._rows, time.monotonic() - self._opened if self._rows else 0.0)
        with contextlib.suppress(OSError):
            manifest.add_work(self._path, self._options.fingerprint, work, self._done.totals)

    def done(self, id: str, sha256: str) -> Status | None:
        return self._done.status(id, sha256)

    def write(self, record: Record) -> None:
        try:
            self._begin()
            self._table.append(record)
            self._sync()
        except OSError as error:
            raise self._error(error) from error
        self._rows += 1
        self._done.add(Row.of(record))

    def _sync(self) -> None:
        now = time.monotonic()
        if now - self._synced >= self._options.sync_seconds:
            self._table.sync()
            self._synced = now

    def _error(self, error: OSError) -> OutputError:
        return atomic_files.output_error(self._path, error, f"{len(self._done.table)} rows are safe")
