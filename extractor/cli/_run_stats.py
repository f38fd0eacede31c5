"""What a run comes to: counts for the summary and the exit code. Nothing here prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from extractor.data import STATUSES, Document, FailedDocument, Record, Status
from extractor.errors import Code
from extractor.sinks import Sink
from extractor.storage.run_progress import RunProgress

NOTHING = "No document was found in the input."


@dataclass
class RunStats:
    """Documents by status: those of this run, and those that the output has of an earlier one (`skipped`).

    `expected` is the number of documents of the input, where it is known; `worked` when the model began to work.
    """

    done: Counter[Status] = field(default_factory=Counter)
    skipped: Counter[Status] = field(default_factory=Counter)
    codes: dict[Status, Counter[Code]] = field(default_factory=lambda: {status: Counter() for status in STATUSES})
    values: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=perf_counter)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    worked: float | None = None
    expected: int | None = None

    def not_done(
        self, documents: Iterable[Document | FailedDocument], sink: Sink
    ) -> Iterator[Document | FailedDocument]:
        """Yield the documents that the output does not hold yet, and count the others."""
        for document in documents:
            status = sink.done(document.id, document.source.sha256)
            if status is None:
                yield document
            else:
                self.skipped[status] += 1

    def add(self, record: Record) -> None:
        """Count a record of this run."""
        self.done[record.status] += 1
        if record.code is not None:
            self.codes[record.status][record.code] += 1
        flags = Counter(record.provenance.grounded.values())
        self.values["withheld"] += len(record.provenance.withheld)
        self.values["kept without a place"] += flags["ungrounded"]
        self.values["of an example"] += flags["example"]

    def progress(self, interrupted: bool = False) -> RunProgress:
        """Return how far the run is; another thread may ask."""
        seconds = 0.0 if self.worked is None else perf_counter() - self.worked
        before = self.skipped.total()
        return RunProgress(self.started, dict(self.done), before, self.expected, seconds, interrupted)

    @property
    def found_none(self) -> bool:
        """Tell whether the input held no document, as far as it was read."""
        return not (self.done.total() or self.skipped.total())

    @property
    def exit_code(self) -> int:
        """0 if all documents are ok, those of an earlier run too; else 1."""
        return int(any(counts[status] for counts in (self.done, self.skipped) for status in STATUSES if status != "ok"))

    def summary(self, output: str) -> str:
        """Return one line for people; `output` names where the rows are, and is empty where they need no name."""
        total, seconds = self.done.total(), perf_counter() - self.began
        if self.found_none:
            return NOTHING
        text = f"{total} document{'' if total == 1 else 's'} in {seconds:.1f} s: {self._statuses()}"
        if values := [f"{count} {what}" for what, count in self.values.items() if count]:
            text += f"; values: {', '.join(values)}"
        if self.skipped:
            text += f"; {self.skipped.total()} done before{self._unsuccessful_before()}"
        return f"{text}. Rows: {output}" if output else f"{text}."

    def _statuses(self) -> str:
        """`7 ok, 1 partial (required 1), 2 failed (timeout 2)`."""
        shown = [f"{self.done['ok']} ok"]
        for status in STATUSES:
            if status != "ok" and self.done[status]:
                codes = ", ".join(f"{code} {count}" for code, count in self.codes[status].most_common())
                shown.append(f"{self.done[status]} {status}" + (f" ({codes})" if codes else ""))
        return ", ".join(shown)

    def _unsuccessful_before(self) -> str:
        counts = [f"{self.skipped[status]} of them {status}" for status in STATUSES if status != "ok"]
        shown = "".join(f", {count}" for count in counts if not count.startswith("0 "))
        return f"{shown} (--retry-failed tries again)" if self.skipped["failed"] else shown
