"""All that came of a document becomes one Record, whatever the number of chunks and attempts.

Scalars take the first value in document order, and what contradicts it is kept as a conflict; lists are united. A
document with a chunk that has no usable answer is `failed`, but keeps what the other chunks gave. This module trusts
the places that `grounding` found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from extractor.tasks import Schema, Task, escape_pointer
from extractor.types import (
    Completion,
    Document,
    Extraction,
    Failure,
    Json,
    Outcome,
    Record,
    Rejection,
    RunInfo,
    Span,
    Unreadable,
    Usage,
)


def merge(document: Document, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Make one record of the final outcomes of a document's chunks, of which there is at least one, in any order."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.chunk.start, outcome.chunk.end))
    extractions = [outcome for outcome in ordered if isinstance(outcome, Extraction)]
    task = ordered[0].completion.prompt.task
    merger = _Merger(task, document)
    data = merger.merged(extractions) if extractions else None
    rejected = list(_rejections(ordered))
    invalid = [Failure("schema", message) for message in task.validate(data)] if data is not None else []
    failed = len(extractions) < len(ordered) or bool(invalid)
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
        how=_how(ordered, extractions, merger),
        attempts=max(outcome.completion.prompt.attempt for outcome in ordered),
        usage=sum((completion.usage for completion in _completions(ordered, rejected)), Usage()),
    )


def unreadable(failure: Unreadable, run: RunInfo) -> Record:
    """The record of a document whose text could not be had."""
    return Record(failure.id, "failed", failure.source, run, errors=(Failure(failure.reason, failure.message),))


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
    """Which parts of a document in several parts have no answer."""
    for number, outcome in enumerate(outcomes, start=1):
        if isinstance(outcome, Rejection) and len(outcomes) > 1:
            where = f"part {number} of {len(outcomes)}, characters {outcome.chunk.start} to {outcome.chunk.end}"
            yield Failure(outcome.reason, f"{where}: no usable answer", outcome.chunk.index)


def _completions(outcomes: Iterable[Outcome], rejected: Iterable[Rejection]) -> Iterable[Completion]:
    """Every completion of the document once."""
    all_of_them = chain((outcome.completion for outcome in outcomes), (rejection.completion for rejection in rejected))
    return {id(completion): completion for completion in all_of_them}.values()


def _how(outcomes: Sequence[Outcome], extractions: Sequence[Extraction], merger: _Merger) -> dict[str, Json]:
    """How the values were read and found, and what of it was left to chance."""
    how: dict[str, Json] = {}
    if extractions:
        how["parsed"] = list(dict.fromkeys(extraction.rung for extraction in extractions))
        how["grounded"] = merger.grounded
    means = dict.fromkeys(outcome.completion.means for outcome in outcomes if outcome.completion.means)
    if means:
        how["means"] = list(means)
    prompts = [outcome.completion.prompt for outcome in outcomes]
    sampled = [
        {
            "chunk": prompt.chunk.index,
            "attempt": prompt.attempt,
            **_sampling(prompt.sampling.temperature, prompt.sampling.seed),
        }
        for prompt in prompts
        if prompt.sampling.temperature > 0
    ]
    if sampled:
        how["sampled"] = sampled
    if len(outcomes) > 1:
        how["chunks"] = len(outcomes)
    return how


def _sampling(temperature: float, seed: int) -> dict[str, Json]:
    return {"temperature": temperature, "seed": seed}


# Uniting the data


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of one extraction and where it is in that extraction's data."""

    extraction: Extraction
    pointer: str
    value: Json

    def member(self, name: str) -> _Value:
        return _Value(self.extraction, f"{self.pointer}/{escape_pointer(name)}", self.value.get(name))

    def items(self) -> Iterator[_Value]:
        for index, item in enumerate(self.value):
            yield _Value(self.extraction, f"{self.pointer}/{index}", item)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(self.extraction.spans.get(self.pointer, ()))

    @property
    def identity(self) -> str:
        return json.dumps(self.value, sort_keys=True)

    def leaves(self, pointer: str = "") -> Iterator[tuple[str, str]]:
        """The pointers of the scalars inside, relative to the value and absolute."""
        if isinstance(self.value, dict):
            for name in self.value:
                yield from self.member(name).leaves(f"{pointer}/{escape_pointer(name)}")
        elif isinstance(self.value, list):
            for index, item in enumerate(self.items()):
                yield from item.leaves(f"{pointer}/{index}")
        else:
            yield pointer, self.pointer

    def first_place(self) -> int | None:
        starts = [start for _, pointer in self.leaves() for start, _ in self.extraction.spans.get(pointer, ())]
        return min(starts, default=None)


@dataclass(frozen=True)
class _Merger:
    """Unites the data of a document's extractions, and all that is known about each value on the way."""

    task: Task
    document: Document
    spans: dict[str, set[Span]] = field(default_factory=dict)
    grounded: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    conflicts: dict[str, list[Json]] = field(default_factory=dict)

    def merged(self, extractions: Sequence[Extraction]) -> dict[str, Json]:
        values = [_Value(extraction, "", extraction.data) for extraction in extractions]
        return self._object(values, self.task.schema, "")

    def _merge(self, values: Sequence[_Value], schema: Json, pointer: str) -> Json:
        present = [value for value in values if value.value is not None]
        if not present:
            self._keep(values, pointer)
            return None
        sub = self.task.resolve(schema)
        if all(isinstance(value.value, list) for value in present):
            return self._list(present, pointer)
        if all(isinstance(value.value, dict) for value in present):
            return self._object(present, sub, pointer)
        return self._scalar(present, pointer)

    def _object(self, values: Sequence[_Value], schema: Schema, pointer: str) -> dict[str, Json]:
        """Member by member, in the order of the schema."""
        properties: Mapping[str, Json] = schema.get("properties", {})
        written = dict.fromkeys(name for value in values for name in value.value)
        names = [
            *(name for name in properties if name in written),
            *(name for name in written if name not in properties),
        ]
        return {
            name: self._merge(
                [value.member(name) for value in values],
                properties.get(name, {}),
                f"{pointer}/{escape_pointer(name)}",
            )
            for name in names
        }

    def _scalar(self, values: Sequence[_Value], pointer: str) -> Json:
        """The first value; other ones are conflicts."""
        first, *others = _grouped(self._whole(values))
        self._keep(first, pointer)
        for group in others:
            span = next((list(span) for value in group for span in value.spans), None)
            self.conflicts.setdefault(pointer, []).append({"value": group[0].value, "span": span})
        return first[0].value

    def _list(self, values: Sequence[_Value], pointer: str) -> list[Json]:
        """All items once: in the order of the answer, and of the document where there are several answers."""
        items = self._whole([item for value in values for item in value.items()])
        if len(values) > 1:
            items = _in_document_order(items)
        groups = _grouped(items)
        for index, group in enumerate(groups):
            self._keep(group, f"{pointer}/{index}")
        return [group[0].value for group in groups]

    def _whole(self, values: Sequence[_Value]) -> Sequence[_Value]:
        """The values without those that a chunk's border cut short, where another chunk has the whole."""
        spans = [(value.extraction, span) for value in values for span in value.spans]
        cut = [value for value in values if value.spans and self._is_cut(value, spans)]
        return [value for value in values if not any(value is each for each in cut)]

    def _is_cut(self, value: _Value, spans: Sequence[tuple[Extraction, Span]]) -> bool:
        chunk = value.extraction.chunk
        start, end = value.spans[0]
        at_border = (start == chunk.start > 0) or (end == chunk.end < len(self.document.text))
        return at_border and any(
            extraction is not value.extraction and low <= start and end <= high and (low, high) != (start, end)
            for extraction, (low, high) in spans
        )

    def _keep(self, group: Sequence[_Value], pointer: str) -> None:
        """Carry over what is known of equal values: all places, the best confidence, how the first was found."""
        for value in group:
            known = value.extraction
            for relative, old in value.leaves():
                new = pointer + relative
                if known.spans.get(old):
                    self.spans.setdefault(new, set()).update(known.spans[old])
                if old in known.grounded:
                    self.grounded.setdefault(new, known.grounded[old])
                if old in known.confidence:
                    self.confidence[new] = max(known.confidence[old], self.confidence.get(new, 0.0))


def _grouped(values: Iterable[_Value]) -> list[list[_Value]]:
    """Equal values together, in the order of the first of each."""
    groups: dict[str, list[_Value]] = {}
    for value in values:
        groups.setdefault(value.identity, []).append(value)
    return list(groups.values())


def _in_document_order(items: Sequence[_Value]) -> Sequence[_Value]:
    """By place, if every item has one."""
    places = [item.first_place() for item in items]
    if any(place is None for place in places):
        return items
    order = sorted(range(len(items)), key=lambda index: places[index] or 0)
    return [items[index] for index in order]
