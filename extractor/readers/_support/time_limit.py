"""The time that reading may take in a process of its own, which the kernel ends when it is over (SIGALRM).

A step that is long by its nature, and bounded, starts it again. Where nobody has set a limit that does nothing.
"""

from __future__ import annotations

import signal

from extractor.errors import Problem


class TimeLimit:
    """A limit of the process: there is one real-time timer in each."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def start(self, seconds: float) -> None:
        """End the process after so many seconds."""
        self._seconds = seconds
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def stop(self) -> None:
        """Let the process go on for as long as it takes."""
        self._seconds = 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)

    def restart(self) -> None:
        """Begin the limit again, if there is one."""
        if self._seconds:
            self.start(self._seconds)


def exceeded(seconds: float) -> Problem:
    """Return why a document was not read."""
    return Problem("timeout", f"not read within {seconds:g} seconds: look at the file, or raise --read-timeout")


OF_PROCESS = TimeLimit()
