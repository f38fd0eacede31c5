"""How far a run is, noted in the manifest every few seconds, so that a monitor need not count rows.

Nothing depends on what is noted: a disk that is full or a folder that has gone does not end a run. This module does not
know what a document is, nor where the counts come from.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from extractor.data import STATUSES, Json, Status
from extractor.storage import manifest

if TYPE_CHECKING:
    from extractor.storage.sink import SinkOptions

State = Literal["running", "ended", "interrupted", "stopped"]
"""`interrupted`: by a signal, in order; `stopped`: by an error. A run that was killed says `running` for good."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Documents of a run by status, those that were `done_before` it, those of the whole input where their number is
    known (`expected`), and the seconds that the model has worked."""

    started: datetime
    statuses: Mapping[Status, int] = field(default_factory=dict)
    done_before: int = 0
    expected: int | None = None
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Documents that this run has done, whatever came of them."""
        return sum(self.statuses.values())

    @property
    def total(self) -> int | None:
        """Documents that this run has to do; None where that is not known."""
        return None if self.expected is None else max(self.expected - self.done_before, self.done)

    @property
    def rate(self) -> float | None:
        """Documents a second; None before the first."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate; None where that cannot be known."""
        return None if self.total is None else self.seconds_for(self.total - self.done)

    def seconds_for(self, documents: int) -> float | None:
        """Return the seconds that so many documents take at this rate; None before the first."""
        return documents / self.rate if self.rate else None

    def as_json(self, state: State) -> dict[str, Json]:
        """Return the entry of the manifest."""
        return {
            "state": "interrupted" if state == "ended" and self.interrupted else state,
            "pid": os.getpid(),
            "started": _utc(self.started),
            "updated": _utc(datetime.now(UTC)),
            "done": self.done,
            **{status: self.statuses.get(status, 0) for status in STATUSES},
            "done_before": self.done_before,
            "total": self.total,
            "documents_per_second": _rounded(self.rate, 3),
            "seconds_left": _rounded(self.seconds_left if state == "running" else None, 1),
        }


class ProgressNotes:
    """Notes the progress of a run in the manifest of its output, in a thread, from `begin` to `end`."""

    def __init__(self, output: str, options: SinkOptions) -> None:
        self._output = output
        self._options = options
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to note. The manifest must be there, and nobody else may write it until the end."""
        if self._options.progress is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="progress notes", daemon=True)
            self._thread.start()

    def end(self, state: State) -> dict[str, Json] | None:
        """End the thread; return how the run has ended, for the manifest. None where nobody tells the progress."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        return self._options.progress().as_json(state) if self._options.progress is not None else None

    def stop(self) -> None:
        """End the thread after an error, and note that; nothing where it has not begun, or has ended."""
        if self._thread is not None and not self._ended.is_set():
            self._note(self.end("stopped") or {})

    def _run(self) -> None:
        while self._options.progress is not None:
            self._note(self._options.progress().as_json("running"))
            if self._ended.wait(self._options.note_seconds):
                return

    def _note(self, entry: dict[str, Json]) -> None:
        with contextlib.suppress(OSError):
            manifest.note_run(self._output, self._options.fingerprint, entry)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
