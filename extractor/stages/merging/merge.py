"""The record of a document, from the final outcomes of its chunks.

Scalars take the first value in document order, and what contradicts it is kept as a conflict; lists are concatenated in
document order. What two chunks see of their overlap counts once, and of two passes the earlier one is right. A document
with a chunk that has no usable answer is `failed`, but keeps what the other chunks gave. This module does not know how
values are merged: `merger` does. A reference that names nothing in all of the data (`x-ref`) is withheld.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from extractor.data import (
    Document,
    Extraction,
    FailedDocument,
    Json,
    Outcome,
    Record,
    RecordError,
    RunInfo,
    Span,
    Status,
    Usage,
)
from extractor.stages.merging import provenance, record_errors
from extractor.stages.merging.merger import Merger
from extractor.task.references import dangling


def merge(document: Document | FailedDocument, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Return the record of a document: from the final outcomes of its chunks, in any order, or why it has no text."""
    if isinstance(document, FailedDocument):
        return Record.failed(document, run)
    return _merge(document, sorted(outcomes, key=_position), run)


def merge_data(extractions: Sequence[Extraction]) -> dict[str, Json]:
    """Return the data that several extractions, at least one, come to."""
    ordered = sorted(extractions, key=_position)
    return Merger(ordered[0].completion.prompt.task.whole).merge(ordered)


def _merge(document: Document, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Merge outcomes in document order. A pass after the first may fail: it costs only what it might have found."""
    settled = [record_errors.settle(outcome) for outcome in outcomes]
    extractions = [outcome for outcome in settled if isinstance(outcome, Extraction)]
    task = outcomes[0].completion.prompt.task.whole
    merger = Merger(task)
    data = merger.merge(extractions) if extractions else None
    withheld = provenance.withheld(extractions, data or {})
    loose: dict[str, str] = {}
    while data is not None and (now := dangling(task, data)):  # what is withheld may have been named
        data, went = merger.withhold(data, dict.fromkeys(now, "reference"))
        withheld += went
        loose |= now
    problems = task.problems(data) if data is not None else ()
    invalid = [*record_errors.of_references(loose), *record_errors.of_data(problems, withheld)]
    cut_off = any(map(record_errors.is_cut_off, outcomes, settled))
    completions = record_errors.completions(outcomes)
    spans = {pointer: tuple(sorted(found)) for pointer, found in merger.spans.items()}
    return Record(
        id=document.id,
        status=_status(settled, invalid, cut_off),
        source=document.source,
        run=run,
        data=data,
        spans=spans,
        locations=_locations(document, spans),
        confidence=merger.confidence,
        errors=(*record_errors.of_answers(outcomes, settled), *invalid),
        conflicts={pointer: tuple(others) for pointer, others in merger.conflicts.items()},
        provenance=provenance.provenance(outcomes, extractions, merger, withheld),
        attempts=len(completions),
        usage=sum((completion.usage for completion in completions), Usage()),
    )


def _status(outcomes: Sequence[Outcome], invalid: Sequence[RecordError], cut_off: bool) -> Status:
    """Return `partial` where nothing is wrong with data but what it lacks, or may lack since an answer was cut off."""
    if any(map(record_errors.is_lost, outcomes)) or any(error.problem.code == "schema" for error in invalid):
        return "failed"
    return "partial" if invalid or cut_off else "ok"


def _position(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.chunk.start, outcome.chunk.end, outcome.completion.prompt.pass_number


def _locations(document: Document, spans: Mapping[str, tuple[Span, ...]]) -> dict[str, tuple[Mapping[str, Json], ...]]:
    """Return in which page, cell or part of the file each range begins; nothing for plain text."""
    if not document.segments:
        return {}
    return {pointer: tuple(document.location(start) for start, _ in found) for pointer, found in spans.items()}
