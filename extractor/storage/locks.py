"""One run at a time on an output: an exclusive lock on a file beside it, which a clean end removes.

The operating system frees the lock of a process however that ends, so a lock file that a killed run left behind
stops nobody. The file beside it counts, because restarting may replace the output by a compacted copy; an output that
is there is locked as well, so that a run which knows it by another name (a hard link) does not write into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from filelock import FileLock, Timeout

from extractor.errors import OutputError, OutputLocked


@contextlib.contextmanager
def locked(output: str, option: str = "-o") -> Iterator[None]:
    """Hold the lock of an output, which `option` names.

    Raises OutputLocked where another run holds it, OutputError where none can be had.
    """
    path = f"{output}.lock"
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputLocked(
            f"Another run is writing {output}. Wait until it ends, or give this one another {option}."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{output} cannot be locked: {error.strerror}. Choose another {option}, in a folder that can be "
            "written, on a local disk."
        ) from error
    try:
        with _file_locked(output, option):
            yield
    finally:
        _release(lock, path)


@contextlib.contextmanager
def _file_locked(path: str, option: str) -> Iterator[None]:
    """Lock a file itself, if there is one and its file system has locks. Raises OutputLocked."""
    if not os.path.isfile(path):
        yield
        return
    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputLocked(
                f"Another run is writing {path} under another name (a hard link). Wait until it ends, or give this one "
                f"another {option}."
            ) from error
        except OSError:
            pass
        yield


def _release(lock: FileLock, path: str) -> None:
    """Remove the file while it is still locked, so that nobody locks a file that is gone; on Windows once it is not."""
    windows = os.name == "nt"
    if windows:
        lock.release()
    with contextlib.suppress(OSError):
        os.unlink(path)
    if not windows:
        lock.release()
