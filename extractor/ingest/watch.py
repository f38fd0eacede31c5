"""The time limit of what is read in the run itself: small texts, rows and JSON.

While a document is read, the kernel sends a signal now and then, whose handler ends the reading once it has taken too
long: also in the middle of a regular expression, which looks for signals as it goes. Where the run is not in the main
thread, there can be no handler, and no limit.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

from extractor.data import Document, FailedDocument
from extractor.readers._support.files import File, ReadOptions, hash_of
from extractor.readers._support.time_limit import exceeded

T = TypeVar("T")

TIMER, SIGNAL = signal.ITIMER_VIRTUAL, signal.SIGVTALRM
"""The timer counts the time of the processor, as what hangs uses it; hardly anybody else has a use for it."""


class TooLate(BaseException):
    """What ends the reading; no reader takes it for an error of its own."""


class Watch:
    """Limits each document, while it is being read, to so many seconds."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._late: float | None = None
        """From when on what is being read takes too long."""
        self._previous: Any = None

    def __enter__(self) -> Watch:
        if _in_main_thread():
            self._previous = signal.signal(SIGNAL, self._end)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._previous is not None and _in_main_thread():
            signal.signal(SIGNAL, self._previous)

    def documents(
        self, file: File, documents: Iterator[Document | FailedDocument]
    ) -> Iterator[Document | FailedDocument]:
        """Yield the documents of a file; a failure in the place of one that takes too long, and of all after it."""
        while True:
            try:
                item = self.limited(lambda: next(documents, None))
            except TooLate:
                problem = exceeded(self._options.timeout)
                yield file.failed(problem, hash_of(file, self._options.max_bytes))
                return
            if item is None:
                return
            yield item

    def limited(self, step: Callable[[], T]) -> T:
        """Return what a step gives. Raises TooLate."""
        if self._previous is None or not _in_main_thread():
            return step()
        self._late = time.monotonic() + self._options.timeout
        every = min(1.0, self._options.timeout / 4)
        signal.setitimer(TIMER, every, every)
        try:
            return step()
        finally:
            self._late = None
            signal.setitimer(TIMER, 0)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._late is not None and time.monotonic() > self._late:
            self._late = None
            raise TooLate


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
