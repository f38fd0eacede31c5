"""Rows on standard output or a device, as JSON Lines: each is flushed, and nothing is known of earlier runs."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import IO

from extractor.data import Record, Status
from extractor.storage import atomic_files, json_lines
from extractor.storage.sink import SinkOptions

STDOUT = "-"


def is_stream(path: str) -> bool:
    """Return whether a path is standard output or something that is neither a file nor a folder."""
    if path == STDOUT:
        return True
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


class StreamSink:
    """A sink on a stream.

    Lets BrokenPipeError through: a reader that has gone is not a failure of the output.
    """

    def __init__(self, path: str, options: SinkOptions) -> None:
        self._path = path
        self._name = "standard output" if path == STDOUT else path
        self._flatten = options.flatten
        self._rows = 0
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> StreamSink:
        try:
            self._stream = self._open()
        except OSError as error:
            raise atomic_files.output_error(self._name, error, "nothing was written yet") from error
        return self

    def _open(self) -> IO[bytes]:
        if self._path == STDOUT:
            if sys.stdout is None:  # Python's word for a descriptor that the shell has closed
                raise OSError(errno.EBADF, "it is closed")
            return sys.stdout.buffer
        return self._resources.enter_context(open(self._path, "wb", buffering=0))

    def __exit__(self, *exc: object) -> None:
        self._resources.close()

    def done(self, id: str, sha256: str) -> Status | None:
        return None

    def write(self, record: Record) -> None:
        view = memoryview(json_lines.encode(record, flatten=self._flatten))
        try:
            while view:
                view = view[self._stream.write(view) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise atomic_files.output_error(self._name, error, f"{self._rows} rows were written") from error
        self._rows += 1
