"""The rows that Ray Data moves: a parcel of documents on the way to a worker, and what came of it on the way back.

A row is a whole parcel, not a document: Ray Data then deals out parcels as they were read, and redoes one as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from extractor import errors
from extractor.data import Document, FailedDocument, Record
from extractor.errors import ExtractorError
from extractor.ingest import ipc
from extractor.storage.rows import from_line, from_row, to_line

_DOCUMENTS = pa.schema({"documents": pa.list_(pa.large_binary()), "counts": pa.list_(pa.int64())})
_RESULTS = pa.schema(
    {
        "part": pa.string(),
        "records": pa.list_(pa.large_binary()),
        "counts": pa.list_(pa.int64()),
        "error": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Counts:
    """What reading has passed so far: documents sent to workers, those done before and how many of these had failed;
    `ended` with the last. Later counts are greater ones."""

    sent: int = 0
    skipped: int = 0
    failed: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """Documents that are worked on together, and what reading has passed with them."""

    documents: Sequence[Document | FailedDocument] = ()
    counts: Counts = Counts()

    def to_table(self) -> pa.Table:
        row = {"documents": [ipc.to_line(each) for each in self.documents], "counts": _numbers(self.counts)}
        return pa.Table.from_pylist([row], schema=_DOCUMENTS)

    @classmethod
    def from_table(cls, table: pa.Table) -> Parcel:
        (row,) = table.to_pylist()
        return cls([ipc.from_line(line) for line in row["documents"]], _counts(row["counts"]))


@dataclass(frozen=True, slots=True)
class Committed:
    """The records of a parcel and the part file that holds them; or the error that ends the run."""

    part: str = ""
    records: Sequence[Record] = ()
    counts: Counts = Counts()
    error: ExtractorError | None = None

    def to_table(self) -> pa.Table:
        row = {
            "part": self.part,
            "records": [to_line(record) for record in self.records],
            "counts": _numbers(self.counts),
            "error": [type(self.error).__name__, str(self.error)] if self.error else [],
        }
        return pa.Table.from_pylist([row], schema=_RESULTS)

    @classmethod
    def from_table(cls, table: pa.Table) -> list[Committed]:
        return [
            cls(
                row["part"],
                [from_row(from_line(line)) for line in row["records"]],
                _counts(row["counts"]),
                getattr(errors, row["error"][0])(row["error"][1]) if row["error"] else None,
            )
            for row in table.to_pylist()
        ]


def _numbers(counts: Counts) -> list[int]:
    return [counts.sent, counts.skipped, counts.failed, int(counts.ended)]


def _counts(numbers: Sequence[int]) -> Counts:
    sent, skipped, failed, ended = numbers
    return Counts(sent, skipped, failed, bool(ended))
