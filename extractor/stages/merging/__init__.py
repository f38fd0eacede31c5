"""All that came of a document becomes one Record, whatever the number of chunks, groups of fields, passes and attempts.

Scalars take the first value in document order, and what contradicts it is kept as a conflict; lists are united in
document order. What two chunks see of their overlap counts once, and of two passes the earlier one is right. A
document with a chunk that has no usable answer is `failed`, but keeps what the other chunks gave. This module trusts
the places that `grounding` found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from extractor.data import (
    Completion,
    Document,
    Extraction,
    Failure,
    Json,
    Outcome,
    Prompt,
    Record,
    Rejection,
    RunInfo,
    Span,
    Unreadable,
    Usage,
    Withheld,
)
from extractor.stages.merging.uniting import Merger
from extractor.task.json_pointer import scalars

_INDEX = re.compile(r"/\d+(?=/|$)")


def merge(document: Document, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Make one record of the final outcomes of a document's chunks, of which there is at least one, in any order.

    A pass after the first may fail: it costs the document nothing but what it might have found.
    """
    ordered = sorted(outcomes, key=_place)
    extractions = [outcome for outcome in ordered if isinstance(outcome, Extraction)]
    task = ordered[0].completion.prompt.task.whole
    merger = Merger(task)
    data = merger.merged(extractions) if extractions else None
    rejected = list(_rejections(ordered))
    completions = _completions(ordered, rejected)
    withheld = _withheld(extractions, data or {})
    invalid = [_invalid(message, withheld) for message in task.validate(data)] if data is not None else []
    failed = bool(invalid) or any(map(_is_lost, ordered))
    spans = {pointer: tuple(sorted(found)) for pointer, found in merger.spans.items()}
    return Record(
        id=document.id,
        status="failed" if failed else "ok",
        source=document.source,
        run=run,
        data=data,
        spans=spans,
        where=_where(document, spans),
        confidence=merger.confidence,
        errors=(*chain.from_iterable(map(_failures, rejected)), *_given_up(ordered), *invalid),
        conflicts={pointer: tuple(others) for pointer, others in merger.conflicts.items()},
        how=_how(ordered, extractions, merger, withheld),
        attempts=len(completions),
        usage=sum((completion.usage for completion in completions), Usage()),
    )


def unite(extractions: Sequence[Extraction]) -> dict[str, Json]:
    """The data that several extractions, at least one, come to."""
    ordered = sorted(extractions, key=_place)
    return Merger(ordered[0].completion.prompt.task.whole).merged(ordered)


def unreadable(failure: Unreadable, run: RunInfo) -> Record:
    """The record of a document whose text could not be had."""
    return Record(failure.id, "failed", failure.source, run, errors=(Failure(failure.reason, failure.message),))


def _place(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.chunk.start, outcome.chunk.end, outcome.completion.prompt.pass_number


def _is_lost(outcome: Outcome) -> bool:
    """Whether a part of the document has no answer."""
    return isinstance(outcome, Rejection) and outcome.completion.prompt.pass_number == 1


def _where(document: Document, spans: Mapping[str, tuple[Span, ...]]) -> dict[str, tuple[Mapping[str, Json], ...]]:
    """In which page, cell or part of the file each range begins; nothing for plain text."""
    if not document.segments:
        return {}
    return {pointer: tuple(document.where(start) for start, _ in found) for pointer, found in spans.items()}


# What went wrong, and what it cost


def _rejections(outcomes: Iterable[Outcome]) -> Iterator[Rejection]:
    """Every rejected attempt once, oldest first; halves of a chunk share the rejections of the whole."""
    seen: set[int] = set()
    for outcome in outcomes:
        final = (outcome,) if isinstance(outcome, Rejection) else ()
        for rejection in (*outcome.completion.prompt.rejected, *final):
            if id(rejection) not in seen:
                seen.add(id(rejection))
                yield rejection


def _failures(rejection: Rejection) -> Iterator[Failure]:
    attempt = rejection.completion.prompt.attempt
    for message in rejection.errors or ("",):
        yield Failure(rejection.reason, message, rejection.chunk.index, attempt)


def _given_up(outcomes: Sequence[Outcome]) -> Iterator[Failure]:
    """Which parts of a document in several parts, and which of several groups of fields, have no answer."""
    parts = {span: number for number, span in enumerate(_parts(outcomes), start=1)}
    several = len(_groups(outcomes)) > 1
    for outcome in filter(_is_lost, outcomes):
        start, end = outcome.chunk.start, outcome.chunk.end
        where = f"part {parts[start, end]} of {len(parts)}, characters {start} to {end}" if len(parts) > 1 else ""
        fields = f"the fields {', '.join(_fields(outcome))}" if several else ""
        if where or fields:
            message = f"{'; '.join(filter(None, (where, fields)))}: no usable answer"
            yield Failure(outcome.reason if isinstance(outcome, Rejection) else "", message, outcome.chunk.index)


def _parts(outcomes: Iterable[Outcome]) -> list[Span]:
    return list(dict.fromkeys((outcome.chunk.start, outcome.chunk.end) for outcome in outcomes))


def _groups(outcomes: Iterable[Outcome]) -> set[tuple[str, ...]]:
    return {_fields(outcome) for outcome in outcomes}


def _fields(outcome: Outcome) -> tuple[str, ...]:
    return tuple(field.name for field in outcome.completion.prompt.task.fields)


def _completions(outcomes: Iterable[Outcome], rejected: Iterable[Rejection]) -> Collection[Completion]:
    """Every completion of the document once."""
    all_of_them = chain((outcome.completion for outcome in outcomes), (rejection.completion for rejection in rejected))
    return {id(completion): completion for completion in all_of_them}.values()


def _withheld(extractions: Iterable[Extraction], data: Mapping[str, Json]) -> list[Withheld]:
    """What was taken out of the answers, once each; not what another part of the document gave for the same field."""
    there = {(scalar.field, json.dumps(scalar.value)) for scalar in scalars(data)}
    every = dict.fromkeys(
        (json.dumps(each.as_json()), each) for extraction in extractions for each in extraction.withheld
    )
    return [each for _, each in every if (each.field, json.dumps(each.value)) not in there]


def _invalid(message: str, withheld: Iterable[Withheld]) -> Failure:
    """What the schema has against the data: it lacks a value that was withheld, or the parts do not fit."""
    field = _INDEX.sub("", message.partition(": ")[0]).removeprefix("/")
    reason = next((each.reason for each in withheld if f"{each.field}/".startswith(f"{field}/")), None)
    return Failure(reason, f"{message}, without the values withheld") if reason else Failure("schema", message)


def _how(
    outcomes: Sequence[Outcome], extractions: Sequence[Extraction], merger: Merger, withheld: Sequence[Withheld]
) -> dict[str, Json]:
    """How the values were read and found, and what of it was left to chance."""
    how: dict[str, Json] = {}
    if extractions:
        how["parsed"] = list(dict.fromkeys(extraction.rung for extraction in extractions))
        how["grounded"] = merger.grounded
    if withheld:
        how["withheld"] = [each.as_json() for each in withheld]
    means = dict.fromkeys(outcome.completion.means for outcome in outcomes if outcome.completion.means)
    if means:
        how["means"] = list(means)
    prompts = [outcome.completion.prompt for outcome in outcomes]
    if sampled := [_sampled(prompt) for prompt in prompts if prompt.sampling.temperature > 0]:
        how["sampled"] = sampled
    numbers = {
        "chunks": len(_parts(outcomes)),
        "groups": len(_groups(outcomes)),
        "passes": max(prompt.pass_number for prompt in prompts),
    }
    how |= {name: number for name, number in numbers.items() if number > 1}
    return how | ({"pass": merger.passes} if merger.passes else {})


def _sampled(prompt: Prompt) -> dict[str, Json]:
    """Which answer was sampled, and how."""
    sampling = prompt.sampling
    which = {"chunk": prompt.chunk.index, "attempt": prompt.attempt}
    later = {"pass": prompt.pass_number} if prompt.found else {}
    return {**which, **later, "temperature": sampling.temperature, "seed": sampling.seed}
