"""SIGINT and SIGTERM during a run: the first finishes what is in flight, the second ends at once.

A thread reads the signals from a pipe, because Python's own handlers wait until the main thread leaves the matrix
product it is in. Rows are written whole, so ending at once leaves the output intact.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import click


class Interrupts:
    """Handlers that set `stop` on the first signal, and end the process with exit code 130 on the second."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupts:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
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
        for count in range(1, 3):
            if os.read(self._read, 1) == b"\0":
                return
            if count == 1:
                self.stop.set()
                click.echo(
                    "\nFinishing what is in flight. A second signal ends at once; rows written are safe.", err=True
                )
        os._exit(130)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing: without a Python handler, the signal would end the process before the pipe is read."""
