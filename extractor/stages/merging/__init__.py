"""All that came of a document becomes one Record, whatever the number of chunks, groups of fields, passes and attempts.

Scalars take the first value in document order, and what contradicts it is kept as a conflict; lists are united in
document order. What two chunks see of their overlap counts once, and of two passes the earlier one is right. A
document with a chunk that has no usable answer is `failed`, but keeps what the other chunks gave. This module trusts
the places that `grounding` found.
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
    Usage,
)
from extractor.stages.merging import provenance, record_errors
from extractor.stages.merging.uniting import Merger


def merge(document: Document | FailedDocument, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Return the record of a document: of the final outcomes of its chunks in any order, or of why it has no text."""
    if isinstance(document, FailedDocument):
        return Record(document.id, "failed", document.source, run, errors=(RecordError(document.problem),))
    return _merge(document, sorted(outcomes, key=_position), run)


def unite(extractions: Sequence[Extraction]) -> dict[str, Json]:
    """Return the data that several extractions, at least one, come to."""
    ordered = sorted(extractions, key=_position)
    return Merger(ordered[0].completion.prompt.task.whole).merged(ordered)


def _merge(document: Document, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Merge outcomes in document order. A pass after the first may fail: it costs only what it might have found."""
    extractions = [outcome for outcome in outcomes if isinstance(outcome, Extraction)]
    task = outcomes[0].completion.prompt.task.whole
    merger = Merger(task)
    data = merger.merged(extractions) if extractions else None
    withheld = provenance.withheld(extractions, data or {})
    invalid = record_errors.of_data(task.validate(data), withheld) if data is not None else []
    failed = bool(invalid) or any(map(record_errors.is_lost, outcomes))
    completions = record_errors.completions(outcomes)
    spans = {pointer: tuple(sorted(found)) for pointer, found in merger.spans.items()}
    return Record(
        id=document.id,
        status="failed" if failed else "ok",
        source=document.source,
        run=run,
        data=data,
        spans=spans,
        locations=_locations(document, spans),
        confidence=merger.confidence,
        errors=(*record_errors.of_answers(outcomes), *invalid),
        conflicts={pointer: tuple(others) for pointer, others in merger.conflicts.items()},
        provenance=provenance.provenance(outcomes, extractions, merger, withheld),
        attempts=len(completions),
        usage=sum((completion.usage for completion in completions), Usage()),
    )


def _position(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.chunk.start, outcome.chunk.end, outcome.completion.prompt.pass_number


def _locations(document: Document, spans: Mapping[str, tuple[Span, ...]]) -> dict[str, tuple[Mapping[str, Json], ...]]:
    """Return in which page, cell or part of the file each range begins; nothing for plain text."""
    if not document.segments:
        return {}
    return {pointer: tuple(document.location(start) for start, _ in found) for pointer, found in spans.items()}
