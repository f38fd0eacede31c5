"""JSON Lines: a row a line, in a file that is gone on with or on a stream. The format that loses nothing and that
everything reads."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import IO

from extractor.data import Record
from extractor.sinks import STDOUT, Sink, SinkOptions, Status
from extractor.sinks._support.json_text import JsonText
from extractor.storage import atomic_files
from extractor.storage.append_log import Appending
from extractor.storage.compression import Plain
from extractor.storage.resumable_file import FileSink

SUFFIXES = (".jsonl", ".ndjson")


def open_sink(path: str, options: SinkOptions) -> Sink:
    """A restartable file, or a stream for `-` and for devices."""
    text = JsonText(options.flatten)
    if path == STDOUT or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return StreamSink(path, text)
    path = os.path.realpath(path)
    return FileSink(path, options, Appending(path, options, text, Plain()))


class StreamSink:
    """Standard output or a device: each row is flushed, and nothing is known of earlier runs.

    Lets BrokenPipeError through: that the reader has gone is no failure of the output.
    """

    def __init__(self, path: str, text: JsonText) -> None:
        self._path = path
        self._name = "standard output" if path == STDOUT else path
        self._text = text
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
        view = memoryview(self._text.encode(record))
        try:
            while view:
                view = view[self._stream.write(view) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise atomic_files.output_error(self._name, error, f"{self._rows} rows were written") from error
        self._rows += 1
