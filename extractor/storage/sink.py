"""What a run writes its records to, and what that has to know of the run. This module knows no formats and no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from extractor.data import Record, Status
from extractor.task.task import Task


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a sink has to know of the run.

    `fingerprint` stands for everything that can change a result and `settings` names it: rows of another fingerprint
    are refused unless `overwrite`. With `retry_failed`, documents whose row is not `ok` count as missing; the row stays
    until a new one replaces it. Rows reach the operating system one by one, and the disk (fsync) at least every
    `sync_seconds` in which rows are written. Formats with columns take them from the schema of `task`. `flatten` gives
    a row for each value found instead of each document.
    """

    fingerprint: str
    settings: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    retry_failed: bool = False
    sync_seconds: float = 1.0
    task: Task | None = None
    flatten: bool = False


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
