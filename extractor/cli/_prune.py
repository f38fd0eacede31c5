"""Rows of documents that are no longer in the input: a run says so, and removes them where that is asked for."""

from __future__ import annotations

from extractor.config import RunRequest
from extractor.errors import UsageError
from extractor.sinks import Sink
from extractor.storage.parts_folder import PartsFolder
from extractor.storage.present import Present
from extractor.storage.sink import PrunableSink


def check(sink: Sink, request: RunRequest) -> None:
    """Raise UsageError for a sink that cannot remove rows where the run is to."""
    if request.output.prune and not isinstance(sink, PrunableSink):
        raise UsageError(f"Rows cannot be removed from {request.output.path}: leave out --prune.")


def prune(sink: Sink | PartsFolder, present: Present, request: RunRequest) -> str:
    """Remove such rows on leaving the sink, if the run is to; return what to say about them, or nothing.

    Without all of the input known, nothing is removed.
    """
    output, wanted = request.output.path, request.output.prune
    if not isinstance(sink, PrunableSink | PartsFolder):
        return ""
    if reason := present.why_not_whole():
        return f"Nothing was pruned: {reason}." if wanted else ""
    count = sink.count_stale(present)
    if count and wanted:
        sink.prune(present)
    return _said(count, output, wanted) if count else ""


def _said(count: int, output: str, pruned: bool) -> str:
    documents = "1 document that is" if count == 1 else f"{count:,} documents that are"
    if pruned:
        return f"The rows of {documents} no longer in the input were removed from {output}."
    return f"{output} has rows of {documents} no longer in the input: --prune removes them."
