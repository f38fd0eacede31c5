"""What a run tells people: a progress bar on a terminal and elsewhere a line now and then, with -v a line for each
document, and a summary at its end."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections import Counter
from time import perf_counter

from tqdm import tqdm

from extractor import ingest
from extractor.cli._console import duration, label_demo, say
from extractor.cli._results_table import ResultsTable
from extractor.cli._run_stats import NOTHING, RunStats
from extractor.config import STREAM, RunRequest
from extractor.data import STATUSES, Record, Status
from extractor.errors import ExtractorError, InputError
from extractor.storage.run_progress import RunProgress
from extractor.task.redaction import redact
from extractor.task.task import Task
from extractor.text.printable import one_line

log = logging.getLogger(__name__)

LINE_SECONDS = 30.0
"""Between two lines of progress where stderr is no terminal."""
_SHORT = 1.0
"""Seconds that a run may take before its documents are counted where nobody watches."""


class RunDisplay:
    """Everything about a run that goes to stderr, and the counts behind it. `stale` is what to say of rows of documents
    that are gone."""

    def __init__(self, request: RunRequest, task: Task) -> None:
        self.stats = RunStats()
        self.progress = Progress(request, self.stats)
        self._table = ResultsTable(task)
        self._request = request
        self._task = task
        self.stale = ""

    def label(self, model: str) -> None:
        """Say that the model is a toy, if it is, before it is loaded."""
        if not self._request.display.quiet:
            label_demo(model)

    def add(self, record: Record) -> None:
        """Count a record and show that it is done."""
        self.stats.add(record)
        self._table.add(record)
        self.progress.add(record)
        _log(record, self._task)

    def check_found(self) -> None:
        """Raise InputError where the input held no document, which is seldom what is meant."""
        if self.stats.found_none and not self._request.may_be_empty:
            raise InputError(f"{NOTHING} Check its path, or say that it may be so: --allow-empty.")

    def finishing(self, in_flight: int) -> str:
        """Return what to say of an interrupt while so many documents are in flight."""
        seconds = self.stats.progress().seconds_for(in_flight)
        takes = "" if seconds is None else f", about {duration(seconds)}"
        documents = "1 document" if in_flight == 1 else f"{in_flight:,} documents"
        return f"Finishing what is in flight: {documents}{takes}. A second signal ends at once; rows written are safe."

    def summarize(self) -> None:
        """Print the table, if it is asked for, and the summary."""
        if self._request.table:
            say(str(self._table))
        if not self._request.display.quiet:
            path = self._request.output.path
            say(self.stats.summary("" if path == STREAM else path))
            if self.stale:
                say(self.stale)


class Progress:
    """A progress bar on a terminal; elsewhere a line every half a minute, or nothing when quiet.

    Documents are counted in a thread beside the run, for the time that is left.
    """

    def __init__(self, request: RunRequest, stats: RunStats) -> None:
        self._request = request
        self._stats = stats
        self._quiet = request.display.quiet
        self._has_bar = not self._quiet and request.display.log_format == "text" and sys.stderr.isatty()
        self._counts: Counter[Status] = Counter()
        self._ended = threading.Event()

    def __enter__(self) -> Progress:
        self._stats.worked = perf_counter()
        self._bar = tqdm(
            unit="doc", disable=not self._has_bar, dynamic_ncols=True, file=getattr(sys.stderr, "plain", sys.stderr)
        )
        threading.Thread(target=self._count, name="estimate", daemon=True).start()
        if not self._quiet and not self._has_bar:
            threading.Thread(target=self._lines, name="progress", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._bar.close()

    def add(self, record: Record) -> None:
        """Move on by one document, and show how many are partial and failed."""
        self._counts[record.status] += 1
        if (total := self._stats.progress().total) is not None:
            self._bar.total = max(total, self._bar.n + 1)
        counts: dict[str, object] = {status: self._counts[status] for status in STATUSES if status != "ok"}
        self._bar.set_postfix(counts, refresh=False)
        self._bar.update()

    def _count(self) -> None:
        if not self._has_bar and self._ended.wait(_SHORT):
            return
        with contextlib.suppress(ExtractorError):  # an input that has gone meanwhile
            found, limit = ingest.estimate(self._request.inputs, self._request.read), self._request.limit
            self._stats.expected = found if limit is None else min(limit, found or limit)

    def _lines(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            say(progress_line(self._stats.progress()))


def progress_line(progress: RunProgress) -> str:
    """Return `120 of 500 documents done, 2 partial, 3 failed, 2.3 a second, about 3 min left`."""
    of = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.done:,}{of} documents done"]
    parts += [f"{progress.statuses.get(status, 0):,} {status}" for status in STATUSES if status != "ok"]
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.2g} a second" if progress.rate < 10 else f"{progress.rate:,.0f} a second")
    if progress.seconds_left is not None:
        parts.append(f"about {duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _log(record: Record, task: Task) -> None:
    """Log one line for a document with -v: what was found, sensitive values masked."""
    if log.isEnabledFor(logging.INFO):
        data = json.dumps(redact(record, task).data, ensure_ascii=False)
        told = ((error.attempt or 0, error.problem) for error in record.errors)
        errors = "; ".join(f"attempt {attempt}: {each.code}: {each.message}" for attempt, each in told)
        log.info("%s", one_line(f"{record.id} {record.status} {data} {errors}"))
