"""Writing that survives: whole pieces or nothing, replaced files in one step, and errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from extractor.errors import OutputError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
BINARY = getattr(os, "O_BINARY", 0)


def output_error(path: str, error: OSError, safe: str) -> OutputError:
    """Return what a failed write means for the one who started the run. `safe` says what is not lost."""
    if error.errno in FULL:
        return OutputError(f"No space left on the disk of {path}. Free some space and run the same line again: {safe}.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}. Run the same line again: {safe}.")


def append(descriptor: int, data: bytes) -> None:
    """Append all of the data, or leave the file as it was and raise what stopped it (OSError, an interrupt)."""
    before = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BaseException:
        os.ftruncate(descriptor, before)
        raise


def replace(path: str, pieces: Iterable[bytes]) -> None:
    """Put a new file in the place of `path`, as `replacing` does. Raises OSError; the old file is then untouched."""
    with replacing(path) as stream:
        stream.writelines(pieces)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` in one step: whenever it is cut off, either the old or the new one
    is there. After an exception it is the old one."""
    temporary = f"{path}.tmp"
    try:
        with _new(temporary) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.exists(path):
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path)


def _new(path: str) -> BinaryIO:
    """Open a file that was not there before: what a killed run left is removed, and a link is never followed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return open(path, "xb")


def sync_folder(path: str) -> None:
    """Make a new name last through a power cut, where the system lets folders be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
