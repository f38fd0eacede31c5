"""What a run tells people while it goes on and at its end: a progress bar on a terminal, and a summary."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from tqdm import tqdm

from extractor.data import Document, FailedDocument, Record
from extractor.sinks import Sink


@dataclass
class Tally:
    """Counts for the summary and the exit code."""

    status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    failed_before: int = 0
    began: float = field(default_factory=perf_counter)

    def not_done(
        self, documents: Iterable[Document | FailedDocument], sink: Sink
    ) -> Iterator[Document | FailedDocument]:
        """The documents that the output does not hold yet."""
        for document in documents:
            status = sink.done(document.id, document.source.sha256)
            if status is None:
                yield document
            else:
                self.skipped += 1
                self.failed_before += status != "ok"

    def add(self, record: Record) -> None:
        self.status[record.status] += 1
        if record.status == "failed" and record.errors:
            self.reasons[record.errors[-1].problem.code] += 1
        flags = Counter(record.provenance.grounded.values())
        self.odd.update(
            {
                "withheld": len(record.provenance.withheld),
                "kept without a place": flags["ungrounded"],
                "of an example": flags["example"],
            }
        )

    @property
    def exit_code(self) -> int:
        return 1 if self.status["failed"] or self.failed_before else 0

    def summary(self, output: str) -> str:
        total, seconds = self.status.total(), perf_counter() - self.began
        if not total + self.skipped:
            return "No document was found in the input."
        text = f"{total} document{'' if total == 1 else 's'} in {seconds:.1f} s: {self.status['ok']} ok"
        if self.status["failed"]:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
            text += f", {self.status['failed']} failed ({reasons})"
        if odd := [f"{count} {what}" for what, count in self.odd.items() if count]:
            text += f"; values: {', '.join(odd)}"
        if self.skipped:
            text += f"; {self.skipped} done before"
            text += f", {self.failed_before} of them failed (--retry-failed asks again)" if self.failed_before else ""
        return text + ("." if output == "-" else f". Rows: {output}")


class Progress:
    """A bar with an estimate of the rest, which is counted in a thread beside the run. Silent where no one looks."""

    def __init__(self, estimate: Callable[[], int | None], options: Mapping[str, Any], tally: Tally) -> None:
        self._estimate = estimate
        self._limit: int | None = options["limit"]
        self._tally = tally
        self._hidden = options["quiet"] or not sys.stderr.isatty()
        self._total: int | None = None
        self._failed = 0

    def __enter__(self) -> Progress:
        self._bar = tqdm(unit="doc", disable=self._hidden, dynamic_ncols=True, file=sys.stderr)
        if not self._hidden:
            threading.Thread(target=self._count, name="estimate", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def add(self, record: Record) -> None:
        self._failed += record.status == "failed"
        if self._total is not None:
            self._bar.total = max(self._total - self._tally.skipped, self._bar.n + 1)
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()

    def _count(self) -> None:
        found = self._estimate()
        self._total = found if self._limit is None else min(self._limit, found or self._limit)
