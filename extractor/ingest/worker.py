"""A process that reads files for a run: `python -m extractor.ingest.worker`, requests in, documents out.

It may die at any moment, by its own timer first of all: a document that takes too long ends the process with SIGALRM,
by which the run knows why. So does one that takes too much memory, and any error that a reader does not expect.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeVar

from extractor.ingest import dispatch, ipc
from extractor.readers._support import time_limit

T = TypeVar("T")

MEMORY_BYTES = 4 << 30
MESSAGES_BYTES = 16 << 20
"""Limit of the file that takes standard error."""


def main() -> None:
    """Serve requests until there are no more, which is also when the run has ended."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_resources()
    answers = _take_stdout()
    for line in sys.stdin.buffer:
        file, options = ipc.parse_request(line)
        for item in _with_timeout(dispatch.read(file, options), options.timeout):
            answers.write(ipc.to_line(item))
        answers.write(ipc.END)


def _with_timeout(items: Iterable[T], seconds: float) -> Iterator[T]:
    """Yield items that take at most so many seconds each; the kernel ends the process at the first that takes more."""
    waiting = iter(items)
    while True:
        time_limit.OF_PROCESS.start(seconds)
        item = next(waiting, None)
        time_limit.OF_PROCESS.stop()
        if item is None:
            return
        yield item


def _limit_resources() -> None:
    import resource

    limits = {resource.RLIMIT_AS: MEMORY_BYTES, resource.RLIMIT_FSIZE: MESSAGES_BYTES, resource.RLIMIT_CORE: 0}
    for number, limit in limits.items():
        hard = resource.getrlimit(number)[1]
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        # A program that converts documents writes files: for it the limit of files can be lifted again.
        resource.setrlimit(number, (lower, hard if number == resource.RLIMIT_FSIZE else lower))


def _take_stdout() -> BinaryIO:
    """Return standard output, unbuffered and for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    main()
