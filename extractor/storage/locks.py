"""One run at a time on an output: an exclusive lock on a file beside it, which a clean end takes away again.

The operating system frees the lock of a process however that ends, so a lock file that a killed run left behind
stops nobody. The output itself is not locked because restarting may replace it by a compacted copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from extractor.errors import OutputError, OutputLocked

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold the lock of an output. Raises OutputLocked where another run holds it."""
    path = f"{output}.lock"
    descriptor = _acquire(output, path)
    try:
        yield
    finally:
        _release(descriptor, path)


def _acquire(output: str, path: str) -> int:
    """Lock the file that the path names now: the one that was opened may have been taken away by its last owner."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"{output} cannot be written: {error.strerror}. Choose another -o.") from error
        try:
            _try_lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _refusal(output, error) from error
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)


def _refusal(output: str, error: OSError) -> OutputError:
    if error.errno in HELD:
        return OutputLocked(f"Another run is writing {output}. Wait until it ends, or give this one another -o.")
    return OutputError(f"{output} cannot be locked: {error.strerror}. Choose another -o, on a local disk.")


def _is_current(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _release(descriptor: int, path: str) -> None:
    """Take the file away while it is still locked; Windows only lets go of closed files."""
    if sys.platform == "win32":
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.unlink(path)
    if sys.platform != "win32":
        os.close(descriptor)
