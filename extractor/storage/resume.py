"""What an earlier run left behind: which documents are done, what they add up to, and whether they may be resumed.

A document counts when its rows are whole. A torn end (the run was killed while it wrote) is cut off. Where several
rows have one id, because its document changed or was asked about again, the last one counts, and compacting drops the
others. A file that holds anything but rows of this program is refused and never changed, and so are the rows of
another fingerprint or of another version of the record.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from extractor.data import RECORD_VERSION, STATUSES, Json, Record, Status
from extractor.errors import OutputError, OutputMismatch
from extractor.storage import manifest
from extractor.storage.digest_table import DigestTable, digest
from extractor.storage.present import Present
from extractor.storage.sink import SinkOptions

ADVICE = "Choose another -o, move the file away, or use --overwrite to start it again."

_STATUS_BITS = 3
"""The low bits of a value in the table hold the status, the others the digest of the document's hash."""
_RETRY = 0
_CODE_OF: Mapping[Status, int] = {status: number for number, status in enumerate(STATUSES, 1)}
_STATUS_OF: Mapping[int, Status] = {number: status for status, number in _CODE_OF.items()}


@dataclass(frozen=True, slots=True)
class RowSummary:
    """What resuming and totals need of a document's rows. `code` says why it is not `ok`; `record` is the version of
    the envelope."""

    id: str
    sha256: str
    status: Status
    fingerprint: str
    code: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    record: int = RECORD_VERSION
    path: str = ""

    @classmethod
    def of(cls, record: Record) -> RowSummary:
        """Return the summary of a record."""
        usage, run = record.usage, record.run
        tokens = usage.prompt_tokens, usage.completion_tokens
        return cls(
            record.id,
            record.source.sha256,
            record.status,
            run.fingerprint,
            record.code or "",
            *tokens,
            run.record,
            record.source.path,
        )

    @classmethod
    def from_row(cls, row: Json) -> RowSummary:
        """Return the summary of a record's row. Raises KeyError, TypeError, ... for what is not one."""
        usage, version = row.get("usage", {}), int(row["run"].get("record", 1))
        known = version == RECORD_VERSION and row["status"] != "ok"
        code = row["errors"][-1]["code"] if known else ""
        names = _texts(row["id"], row["source"]["sha256"]), _status(row["status"]), _texts(row["run"]["fingerprint"])
        (id, sha256), status, (fingerprint,) = names
        tokens = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
        return cls(id, sha256, status, fingerprint, code, *tokens, version, str(row["source"].get("path") or ""))

    @classmethod
    def from_columns(cls, row: Mapping[str, Json]) -> RowSummary:
        """Return the summary of a row of plain columns. Raises KeyError, TypeError or ValueError for another row."""
        id, sha256, fingerprint = _texts(row["id"], row["sha256"], row["fingerprint"])
        tokens = int(row["prompt_tokens"] or 0), int(row["completion_tokens"] or 0)
        version, status = int(row.get("record") or 1), _status(row["status"])
        code, path = row.get("code") or "", str(row.get("path") or "")
        return cls(id, sha256, status, fingerprint, code, *tokens, version, path)


@dataclass(slots=True)
class ResumeState:
    """The rows of an output: for each id the hash of its document and its status, and what all add up to.

    `stale` says that rows are superseded: totals are then wrong until the rows are read again. Documents are looked up
    by the thread that reads ahead while another adds rows.
    """

    table: DigestTable = field(default_factory=DigestTable)
    stale: bool = False
    statuses: Counter[Status] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self, id: str, sha256: str) -> Status | None:
        """Return the status of a document's row; None where there is none, the document has changed since, or it is to
        be asked about again."""
        with self.lock:
            value = self.table.get(digest(id))
        if value is None or value | _STATUS_BITS != digest(sha256) | _STATUS_BITS:
            return None
        return _STATUS_OF.get(value & _STATUS_BITS)

    def load(self, path: str, row: RowSummary, options: SinkOptions) -> None:
        """Add a row that is in the output already. Raises OutputMismatch where it may not be resumed."""
        check(path, row, options)
        self._add(row, _RETRY if options.retry_failed and row.status != "ok" else _CODE_OF[row.status])

    def add(self, row: RowSummary) -> None:
        """Add a row."""
        self._add(row, _CODE_OF[row.status])

    def _add(self, row: RowSummary, status: int) -> None:
        key = digest(row.id)
        with self.lock:
            self.stale = self.stale or self.table.get(key) is not None
            self.table.set(key, digest(row.sha256) & ~_STATUS_BITS | status)
            self.statuses[row.status] += 1
            if row.code:
                self.problems[row.code] += 1
            self.tokens.update(prompt=row.prompt_tokens, completion=row.completion_tokens)

    def may_be_stale(self, present: Present) -> bool:
        """Tell whether there are rows of documents that the input does not hold, or may not."""
        return any(present.ids.get(key) is None for key in self.table)

    @property
    def totals(self) -> manifest.Totals:
        return manifest.Totals(dict(self.statuses), dict(self.problems.most_common()), dict(self.tokens))


def count_stale(rows: Iterable[RowSummary], present: Present) -> int:
    """Return of how many documents that the input does not hold there are rows."""
    stale = DigestTable()
    for row in rows:
        if not present.holds(row.id, row.path):
            stale.set(digest(row.id), 1)
    return len(stale)


def check(path: str, row: RowSummary, options: SinkOptions) -> None:
    """Raise OutputMismatch for a row of another record version or fingerprint; the message names what changed."""
    if row.record != RECORD_VERSION:
        raise other_version(path, row.record)
    if row.fingerprint == options.fingerprint:
        return
    old = manifest.read(path, row.fingerprint)
    changed = manifest.difference(old, options.settings) if old is not None else ""
    what = changed or f"fingerprint {row.fingerprint}, now {options.fingerprint}"
    raise OutputMismatch(f"{path} holds rows made with other settings: {what}. {ADVICE}")


def other_version(path: str, record: int) -> OutputMismatch:
    """Return the refusal of rows that another version of this program wrote."""
    version = manifest.writer_version(path)
    earlier = "an earlier version" if record < RECORD_VERSION else "a later version"
    writer = f"extractor {version}" if version else earlier
    return OutputMismatch(
        f"{path} was written by {writer} (record {record}); this version writes record {RECORD_VERSION}. Use "
        "--overwrite to start it again, choose another -o, or finish it with the version that wrote it. Nothing was "
        "changed."
    )


def foreign(path: str, where: str) -> OutputError:
    """Return the refusal of a file that is not an output of this program."""
    return OutputError(
        f"{where} of {path} is not a row of this program; the file was not changed. Choose another -o, or move the "
        "file away."
    )


def other_rows(path: str, flatten: bool) -> OutputMismatch:
    """Return the refusal of rows by document where rows by value are asked for (`flatten`), or the reverse."""
    what = "a row for each document: leave out --flatten" if flatten else "a row for each value: add --flatten"
    return OutputMismatch(f"{path} holds {what}. Or: {ADVICE[0].lower()}{ADVICE[1:]}")


def _texts(*values: Json) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("not a text")
    return values


def _status(value: Json) -> Status:
    if value not in STATUSES:
        raise ValueError(f"not a status: {value!r}")
    return cast(Status, value)
