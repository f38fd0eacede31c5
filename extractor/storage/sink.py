"""What a run writes its records to, and what that has to know of the run. This module knows no formats and no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from extractor.data import Record, Status
from extractor.storage.present import Present
from extractor.storage.run_progress import RunProgress
from extractor.task.task import Task


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a sink has to know of the run.

    `fingerprint` stands for everything that can change a result and `settings` names it: rows of another fingerprint
    are refused unless `overwrite`. With `retry_failed`, documents whose row is not `ok` count as missing; the row stays
    until a new one replaces it. Rows reach the operating system one by one, and the disk (fsync) at least every
    `sync_seconds` in which rows are written. Formats with columns take them from the schema of `task`. `flatten` gives
    a row for each value found instead of each document. With `bom` a CSV file begins with a byte order mark. `progress`
    says how far the run is, which is noted beside the output every `note_seconds` while rows are written.
    """

    fingerprint: str
    settings: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    retry_failed: bool = False
    sync_seconds: float = 1.0
    task: Task | None = None
    flatten: bool = False
    bom: bool = False
    progress: Callable[[], RunProgress] | None = None
    note_seconds: float = 5.0


class Sink(Protocol):
    """Where records go. Entering takes the output for this run, leaving makes it whole and gives it back."""

    def done(self, id: str, sha256: str) -> Status | None:
        """Return the status of the row that an earlier run wrote for this document; None where it is still to do."""
        ...

    def write(self, record: Record) -> None:
        """Write one record; when this returns, the end of this process cannot lose it. Raises OutputError."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(self, *exc: object) -> None: ...


@runtime_checkable
class PrunableSink(Sink, Protocol):
    """A sink that knows of which documents its rows are, once all of a run's are written."""

    def count_stale(self, present: Present) -> int:
        """Return of how many documents that the input no longer holds there are rows. Raises OutputError."""
        ...

    def prune(self, present: Present) -> None:
        """Have the rows of documents that the input no longer holds removed on leaving, in one step."""
        ...
