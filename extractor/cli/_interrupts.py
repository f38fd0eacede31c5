"""SIGINT and SIGTERM during a run: the first finishes what is in flight, the second ends at once.

A thread reads the signals from a pipe, because Python's own handlers wait until the main thread leaves the matrix
product it is in. Rows are written whole, so ending at once leaves the output intact.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from extractor.cli import INTERRUPTED, SIGNALS, end_at_once
from extractor.cli._console import say


class Interrupts:
    """Handlers that set `stop` on the first signal and print what `finishing` says of it, and end the process with exit
    code 130 on the second."""

    def __init__(self, stop: threading.Event, finishing: Callable[[], str]) -> None:
        self.stop = stop
        self._finishing = finishing
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupts:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, _nothing)
        self._thread = threading.Thread(target=self._watch, name="interrupts", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        os.write(self._write, b"\0")
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def _watch(self) -> None:
        while (number := os.read(self._read, 1)[0]) != 0:
            if number not in SIGNALS:  # the pipe tells of every signal that anybody handles
                continue
            if self.stop.is_set():
                os._exit(INTERRUPTED)
            self.stop.set()
            say(f"\n{self._finishing()}")


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process on the first signal: for long imports, where an exception may be lost and nothing is begun."""
    previous = {number: signal.signal(number, end_at_once) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing: without a Python handler, the signal would end the process before the pipe is read."""
