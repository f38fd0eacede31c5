"""What a run tells people: a progress bar on a terminal, a log line for each document, and a summary at its end."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter

import click
from tqdm import tqdm

from extractor import ingest
from extractor.cli._console import label_demo
from extractor.cli._results_table import ResultsTable
from extractor.cli._run_stats import RunStats
from extractor.config import STREAM, RunRequest
from extractor.data import STATUSES, Record, Status
from extractor.task.redaction import redact
from extractor.task.task import Task

log = logging.getLogger(__name__)


class RunDisplay:
    """Everything about a run that goes to stderr, and the counts behind it."""

    def __init__(self, request: RunRequest, task: Task) -> None:
        self.stats = RunStats()
        self.progress = Progress(request, self.stats)
        self._table = ResultsTable(task)
        self._request = request
        self._task = task

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

    def summarize(self) -> None:
        """Print the table, if it is asked for, and the summary."""
        if self._request.table:
            click.echo(str(self._table), err=True)
        if not self._request.display.quiet:
            path = self._request.output.path
            click.echo(self.stats.summary("" if path == STREAM else path), err=True)


class Progress:
    """A progress bar whose total is counted in a thread beside the run. Silent unless stderr is a terminal."""

    def __init__(self, request: RunRequest, stats: RunStats) -> None:
        self._request = request
        self._stats = stats
        self._hidden = request.display.quiet or not sys.stderr.isatty()
        self._total: int | None = None
        self._counts: Counter[Status] = Counter()

    def __enter__(self) -> Progress:
        self._bar = tqdm(unit="doc", disable=self._hidden, dynamic_ncols=True, file=sys.stderr)
        if not self._hidden:
            threading.Thread(target=self._count, name="estimate", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def add(self, record: Record) -> None:
        """Move on by one document, and show how many are partial and failed."""
        self._counts[record.status] += 1
        if self._total is not None:
            self._bar.total = max(self._total - self._stats.skipped.total(), self._bar.n + 1)
        counts: dict[str, object] = {status: self._counts[status] for status in STATUSES if status != "ok"}
        self._bar.set_postfix(counts, refresh=False)
        self._bar.update()

    def _count(self) -> None:
        found, limit = ingest.estimate(self._request.inputs, self._request.read), self._request.limit
        self._total = found if limit is None else min(limit, found or limit)


def _log(record: Record, task: Task) -> None:
    """Log one line for a document with -v: what was found, sensitive values masked."""
    if log.isEnabledFor(logging.INFO):
        data = json.dumps(redact(record, task).data, ensure_ascii=False)
        told = ((error.attempt or 0, error.problem) for error in record.errors)
        errors = "; ".join(f"attempt {attempt}: {each.code}: {each.message}" for attempt, each in told)
        log.info("%s %s %s %s", record.id, record.status, data, errors)
