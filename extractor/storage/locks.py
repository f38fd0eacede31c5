"""One run at a time on an output: an exclusive lock on a file beside it, which a clean end removes.

The operating system frees the lock of a process however that ends, so a lock file that a killed run left behind
stops nobody. The output itself is not locked because restarting may replace it by a compacted copy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from filelock import FileLock, Timeout

from extractor.errors import OutputError, OutputLocked


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold the lock of an output. Raises OutputLocked where another run holds it, OutputError where none can be had."""
    path = f"{output}.lock"
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputLocked(
            f"Another run is writing {output}. Wait until it ends, or give this one another -o."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{output} cannot be locked: {error.strerror}. Choose another -o, in a folder that can be written, on a "
            "local disk."
        ) from error
    try:
        yield
    finally:
        _release(lock, path)


def _release(lock: FileLock, path: str) -> None:
    """Remove the file while it is still locked, so that nobody locks a file that is gone; on Windows once it is not."""
    windows = os.name == "nt"
    if windows:
        lock.release()
    with contextlib.suppress(OSError):
        os.unlink(path)
    if not windows:
        lock.release()
