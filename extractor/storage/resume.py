"""What an earlier run left behind: which documents are done, what they add up to, and whether it is ours to go on with.

A document counts when its rows are whole. A torn end (the run was killed while it wrote) is cut off. Where several
rows have one id, because its document changed, the last one counts; compacting drops the others, and failed rows when
they are to be tried again. A file that holds anything but such rows is refused, never changed.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from extractor.data import Record
from extractor.errors import OutputError, OutputMismatch
from extractor.sinks import SinkOptions, Status
from extractor.storage import manifest
from extractor.storage.digest_table import DigestTable, digest

ADVICE = "Choose another -o, move the file away, or use --overwrite to begin it anew."


@dataclass(frozen=True, slots=True)
class Row:
    """The little of a document's rows that restarting and totals need. `reason` is that of a failure."""

    id: str
    sha256: str
    status: str
    fingerprint: str
    reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @classmethod
    def of(cls, record: Record) -> Row:
        usage = record.usage
        return cls(
            record.id,
            record.source.sha256,
            record.status,
            record.run.fingerprint,
            reason_of(record),
            usage.prompt_tokens,
            usage.completion_tokens,
        )


def reason_of(record: Record) -> str:
    """Why a document failed: the reason that was final. Empty for one that did not."""
    return record.code or ""


@dataclass(slots=True)
class Done:
    """The rows of an output: for each id the hash of its document and its status; and their `totals`, which are right
    unless `stale`, which says that rows are superseded. Documents are looked up by the thread that reads ahead while
    another adds rows."""

    table: DigestTable = field(default_factory=DigestTable)
    stale: bool = False
    failed: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self, id: str, sha256: str) -> Status | None:
        """The status of a document's row; None where there is none or the document has changed since."""
        with self.lock:
            value = self.table.get(digest(id))
        if value is None or value | 1 != digest(sha256) | 1:
            return None
        return "ok" if value & 1 else "failed"

    def add(self, row: Row) -> None:
        key = digest(row.id)
        value = digest(row.sha256) | 1 if row.status == "ok" else digest(row.sha256) & ~1
        with self.lock:
            self.stale = self.stale or self.table.get(key) is not None
            self.table.set(key, value)
            if row.status != "ok":
                self.failed[row.reason] += 1
            self.tokens.update(prompt=row.prompt_tokens, completion=row.completion_tokens)

    @property
    def totals(self) -> manifest.Totals:
        return manifest.Totals(len(self.table), dict(self.failed.most_common()), dict(self.tokens))


def foreign(path: str, where: str) -> OutputError:
    """What is said about a file that is not ours."""
    return OutputError(f"{where} of {path} is no row of this program; the file was not changed. {ADVICE}")


def other_rows(path: str, flatten: bool) -> OutputMismatch:
    """What is said about rows of the other kind, by document or by value."""
    what = "a row for each document: leave out --flatten" if flatten else "a row for each value: add --flatten"
    return OutputMismatch(f"{path} holds {what}. Or: {ADVICE[0].lower()}{ADVICE[1:]}")


def check(path: str, fingerprint: str, options: SinkOptions) -> None:
    """Raise OutputMismatch for rows of another fingerprint; the message names what changed, as far as it is known."""
    if fingerprint == options.fingerprint:
        return
    old = manifest.read(path, fingerprint)
    changed = manifest.difference(old, options.settings) if old is not None else ""
    what = changed or f"fingerprint {fingerprint}, now {options.fingerprint}"
    raise OutputMismatch(f"{path} holds rows made with other settings: {what}. {ADVICE}")
