"""The rows that Ray Data moves: a batch of documents on its way to a worker, and its result on the way back.

A row is a whole batch, not a document: Ray Data then distributes batches as they were read, and retries one as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from extractor import errors
from extractor.data import STATUSES, Document, FailedDocument, Record, Status
from extractor.errors import ExtractorError
from extractor.ingest import ipc
from extractor.storage.rows import from_line, from_row, to_line

_DOCUMENTS = pa.schema(
    {"documents": pa.list_(pa.large_binary()), "progress": pa.list_(pa.int64()), "present": pa.large_binary()}
)
_RESULTS = pa.schema(
    {
        "part": pa.string(),
        "records": pa.list_(pa.large_binary()),
        "progress": pa.list_(pa.int64()),
        "error": pa.list_(pa.string()),
        "present": pa.large_binary(),
    }
)


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far reading has come: the number of documents that went to workers, and of those that were done before, by
    status in the order of `STATUSES`; `ended` after the last."""

    sent: int = 0
    before: tuple[int, ...] = (0,) * len(STATUSES)
    ended: bool = False

    @property
    def read(self) -> int:
        """The documents that were read."""
        return self.sent + sum(self.before)

    @property
    def skipped(self) -> Counter[Status]:
        """The documents that were done before, by status."""
        return Counter(dict(zip(STATUSES, self.before, strict=True)))

    def is_after(self, other: ReadProgress) -> bool:
        """Tell whether this is a later report than another; results come back out of order."""
        return (self.read, self.ended) > (other.read, other.ended)


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents that one worker works on, and how far reading has come with them; with the last, empty batch what the
    input holds (`Present.to_bytes`), which is handed on to the coordinator."""

    documents: Sequence[Document | FailedDocument] = ()
    progress: ReadProgress = ReadProgress()
    present: bytes = b""

    def to_table(self) -> pa.Table:
        """Return the batch as a table of one row."""
        row = {
            "documents": [ipc.to_line(each) for each in self.documents],
            "progress": _to_numbers(self.progress),
            "present": self.present,
        }
        return pa.Table.from_pylist([row], schema=_DOCUMENTS)

    @classmethod
    def from_table(cls, table: pa.Table) -> DocumentBatch:
        """Return the batch of a table of one row."""
        (row,) = table.to_pylist()
        documents = [ipc.from_line(line) for line in row["documents"]]
        return cls(documents, _from_numbers(row["progress"]), row["present"])


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The records of a batch and the part file that holds them; or the error that ends the run."""

    part: str = ""
    records: Sequence[Record] = ()
    progress: ReadProgress = ReadProgress()
    error: ExtractorError | None = None
    present: bytes = b""

    def to_table(self) -> pa.Table:
        """Return the result as a table of one row."""
        row = {
            "part": self.part,
            "records": [to_line(record) for record in self.records],
            "progress": _to_numbers(self.progress),
            "error": [type(self.error).__name__, str(self.error)] if self.error else [],
            "present": self.present,
        }
        return pa.Table.from_pylist([row], schema=_RESULTS)

    @classmethod
    def from_table(cls, table: pa.Table) -> list[BatchResult]:
        """Return the results of a table."""
        return [
            cls(row["part"], _records(row), _from_numbers(row["progress"]), _error(row), row["present"])
            for row in table.to_pylist()
        ]


def _records(row: Mapping[str, Sequence[bytes]]) -> list[Record]:
    return [from_row(from_line(line)) for line in row["records"]]


def _error(row: Mapping[str, Sequence[str]]) -> ExtractorError | None:
    if not row["error"]:
        return None
    name, message = row["error"]
    kind: type[ExtractorError] = getattr(errors, name)
    return kind(message)


def _to_numbers(progress: ReadProgress) -> list[int]:
    return [progress.sent, *progress.before, int(progress.ended)]


def _from_numbers(numbers: Sequence[int]) -> ReadProgress:
    sent, *before, ended = numbers
    return ReadProgress(sent, tuple(before), bool(ended))
