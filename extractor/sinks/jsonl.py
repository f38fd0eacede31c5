"""JSON Lines, append-only: each row is one write to the operating system, so killing the run cannot lose it.

The disk itself is made to have the rows (fsync) about every second and at the end: what a power cut can cost is that
second, and the restart does it again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import IO

from extractor.errors import OutputError
from extractor.sinks import STDOUT, Sink, SinkOptions, Status, disk, runfile
from extractor.sinks.locking import locked
from extractor.sinks.restart import Done, compact, resume
from extractor.sinks.rows import to_line
from extractor.types import Record

SUFFIXES = (".jsonl", ".ndjson")


def open_sink(path: str, options: SinkOptions) -> Sink:
    """A restartable file, or a stream for `-` and for devices."""
    if path == STDOUT or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return StreamSink(path)
    return FileSink(os.path.realpath(path), options)


class FileSink:
    """A file that is locked while it is entered. Nothing of an earlier run is given up before there is a row to write:
    a run whose model does not load leaves the output as it was, `overwrite` or not."""

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._options = options
        self._resources = contextlib.ExitStack()
        self._done = Done()
        self._descriptor = -1
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
                raise disk.output_error(self._path, error, "what it holds is safe") from error
            self._resources = resources.pop_all()
        return self

    def _open(self, resources: contextlib.ExitStack) -> None:
        options = self._options
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        resources.enter_context(locked(self._path))
        if not options.overwrite:
            self._done = resume(self._path, options.fingerprint, dict(options.settings), options.retry_failed)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | disk.BINARY, 0o644)
        resources.callback(os.close, self._descriptor)
        self._opened = self._synced = time.monotonic()

    def _begin(self) -> None:
        if not self._begun:
            if self._options.overwrite:
                os.ftruncate(self._descriptor, 0)
            options = self._options
            runfile.write(self._path, options.fingerprint, options.settings, anew=options.overwrite)
            self._begun = True

    def __exit__(self, *exc: object) -> None:
        """After an exception the file is left as it is, so that stopping is quick; the next start tidies up."""
        clean = not any(exc)
        with self._resources:
            try:
                if clean:
                    self._begin()
                os.fsync(self._descriptor)
                if clean and self._done.stale:
                    compact(self._path)
            except OSError as error:
                raise self._error(error) from error
            if clean and self._rows:
                self._note_work()

    def _note_work(self) -> None:
        """Note how long the rows took. No row depends on it, so a full disk does not make it an error."""
        work = runfile.Work(self._rows, time.monotonic() - self._opened)
        with contextlib.suppress(OSError):
            runfile.add_work(self._path, self._options.fingerprint, work)

    def done(self, id: str, sha256: str) -> Status | None:
        return self._done.status(id, sha256)

    def write(self, record: Record) -> None:
        try:
            self._begin()
            disk.append(self._descriptor, to_line(record))
            self._sync()
        except OSError as error:
            raise self._error(error) from error
        self._rows += 1
        self._done.add(record.id, record.source.sha256, record.status)

    def _sync(self) -> None:
        now = time.monotonic()
        if now - self._synced >= self._options.sync_seconds:
            os.fsync(self._descriptor)
            self._synced = now

    def _error(self, error: OSError) -> OutputError:
        return disk.output_error(self._path, error, f"{len(self._done.table)} rows are safe")


class StreamSink:
    """Standard output or a device: each row is flushed, and nothing is known of earlier runs.

    Lets BrokenPipeError through: that the reader has gone is no failure of the output.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._rows = 0
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> StreamSink:
        try:
            self._stream = self._open()
        except OSError as error:
            raise disk.output_error(self._path, error, "nothing was written yet") from error
        return self

    def _open(self) -> IO[bytes]:
        if self._path == STDOUT:
            return sys.stdout.buffer
        return self._resources.enter_context(open(self._path, "wb", buffering=0))

    def __exit__(self, *exc: object) -> None:
        self._resources.close()

    def done(self, id: str, sha256: str) -> Status | None:
        return None

    def write(self, record: Record) -> None:
        view = memoryview(to_line(record))
        try:
            while view:
                view = view[self._stream.write(view) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise disk.output_error(self._path, error, f"{self._rows} rows were written") from error
        self._rows += 1
