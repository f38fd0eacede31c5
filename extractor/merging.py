"""All that came of a document becomes one Record, whatever the number of chunks, groups of fields, passes and attempts.

Scalars take the first value in document order, and what contradicts it is kept as a conflict; lists are united in
document order. What two chunks see of their overlap counts once, and of two passes the earlier one is right. A
document with a chunk that has no usable answer is `failed`, but keeps what the other chunks gave. This module trusts
the places that `grounding` found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from extractor.pointers import scalars
from extractor.tasks import Schema, Task, escape_pointer
from extractor.types import (
    FLAGS,
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


def merge(document: Document, outcomes: Sequence[Outcome], run: RunInfo) -> Record:
    """Make one record of the final outcomes of a document's chunks, of which there is at least one, in any order.

    A pass after the first may fail: it costs the document nothing but what it might have found.
    """
    ordered = sorted(outcomes, key=_place)
    extractions = [outcome for outcome in ordered if isinstance(outcome, Extraction)]
    task = ordered[0].completion.prompt.task.whole
    merger = _Merger(task, document)
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
    return _Merger(ordered[0].completion.prompt.task.whole, ordered[0].chunk.document).merged(ordered)


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
    outcomes: Sequence[Outcome], extractions: Sequence[Extraction], merger: _Merger, withheld: Sequence[Withheld]
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


# Uniting the data


@dataclass(frozen=True)
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
    def pass_number(self) -> int:
        return self.extraction.completion.prompt.pass_number

    @property
    def is_flagged(self) -> bool:
        return self.extraction.grounded.get(self.pointer) in FLAGS

    @cached_property
    def identity(self) -> str:
        return json.dumps(self.value, sort_keys=True)

    @cached_property
    def places(self) -> Mapping[str, tuple[Span, ...]]:
        """Where the scalars inside stand that have a place, by their pointers relative to the value."""
        spans = self.extraction.spans
        return {relative: spans[pointer] for relative, pointer in self.leaves() if spans.get(pointer)}

    @cached_property
    def size(self) -> int:
        """Characters of text that the value stands for."""
        return sum(end - start for spans in self.places.values() for start, end in spans)

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
        return min((start for spans in self.places.values() for start, _ in spans), default=None)

    def first_span(self) -> list[int] | None:
        return next((list(span) for spans in self.places.values() for span in spans), None)


@dataclass(frozen=True)
class _Merger:
    """Unites the data of a document's extractions, and all that is known about each value on the way."""

    task: Task
    document: Document
    spans: dict[str, set[Span]] = field(default_factory=dict)
    grounded: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    conflicts: dict[str, list[Json]] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)

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
            return self._list(present, sub, pointer)
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
        """The first value in document order, of those that stand in the text if any does, one of an earlier pass before
        those of later ones; others are conflicts.

        A later pass only has a say where the earlier ones found nothing in the same chunk.
        """
        things = sorted(_things(_first_passes(values)), key=lambda thing: (thing[0].is_flagged, thing[0].pass_number))
        first, *others = _grouped(things)
        self._keep(first, pointer)
        for group in others:
            span = next(filter(None, (value.first_span() for value in group)), None)
            self.conflicts.setdefault(pointer, []).append({"value": group[0].value, "span": span})
        return first[0].value

    def _list(self, values: Sequence[_Value], schema: Schema, pointer: str) -> list[Json]:
        """All items, in the order of the answer, and of the document where there are several answers.

        A value stands once, with all its places, unless `uniqueItems` is false; equal objects at different places are
        several items, unless it is true.
        """
        things = _things([item for value in values for item in value.items()])
        if len(values) > 1:
            things = _in_document_order(things)
        groups = _grouped(things, lambda value: _may_repeat(value, schema))
        for index, group in enumerate(groups):
            self._keep(group, f"{pointer}/{index}")
        return [group[0].value for group in groups]

    def _keep(self, group: Sequence[_Value], pointer: str) -> None:
        """Carry over what is known of equal values: all places, the best confidence, how the first was found."""
        for value in group:
            known = value.extraction
            for relative, old in value.leaves():
                new = pointer + relative
                if known.spans.get(old) and new not in self.spans:
                    self.grounded.pop(new, None)
                if known.spans.get(old):
                    self.spans.setdefault(new, set()).update(known.spans[old])
                if old in known.grounded and not (known.grounded[old] in FLAGS and new in self.spans):
                    self.grounded.setdefault(new, known.grounded[old])
                if old in known.confidence:
                    self.confidence[new] = max(known.confidence[old], self.confidence.get(new, 0.0))
        if (number := min(value.pass_number for value in group)) > 1:
            self.passes.update((pointer + relative, number) for relative, _ in group[0].leaves())


_INDEX = re.compile(r"/\d+(?=/|$)")

_Thing = list[_Value]
"""Values of several answers that are about one thing, the one that counts first."""


def _grouped(things: Iterable[_Thing], may_repeat: Callable[[_Value], bool] = lambda _: False) -> list[_Thing]:
    """Equal values together, in the order of the first of each, but for those that may stand several times."""
    groups: dict[str | int, _Thing] = {}
    for number, thing in enumerate(things):
        groups.setdefault(number if may_repeat(thing[0]) else thing[0].identity, []).extend(thing)
    return list(groups.values())


def _may_repeat(value: _Value, schema: Schema) -> bool:
    """Whether a list may hold the value once more if it stands in the text once more."""
    return bool(value.places) and not schema.get("uniqueItems", not isinstance(value.value, dict))


def _first_passes(values: Sequence[_Value]) -> list[_Value]:
    """The values without those that an earlier pass over the same chunk has one for."""
    first: dict[Span, int] = {}
    for value in values:
        span = value.extraction.chunk.start, value.extraction.chunk.end
        first[span] = min(value.pass_number, first.get(span, value.pass_number))
    return [
        value
        for value in values
        if value.pass_number == first[value.extraction.chunk.start, value.extraction.chunk.end]
    ]


def _in_document_order(things: Sequence[_Thing]) -> list[_Thing]:
    """By place; one without a place goes behind the one before it, or to where its chunk begins."""
    places: list[int] = []
    last: _Thing | None = None
    for thing in things:
        known = thing[0].first_place()
        if known is None:
            follows = last is not None and last[0].extraction is thing[0].extraction
            known = places[-1] if follows else thing[0].extraction.chunk.start
        places.append(known)
        last = thing
    return [things[index] for index in sorted(range(len(things)), key=lambda index: places[index])]


# What several answers say of one place


def _things(values: Sequence[_Value]) -> list[_Thing]:
    """The values that stand, each with those that repeat it, in the order that they are given in.

    Of two that different answers give for one place, that of the earlier pass stands, then the more complete one (a
    border may have cut the other short), then the longer. What the answer with the better one says as well is not in
    its way: names inside names.
    """
    ranked = sorted(range(len(values)), key=lambda index: (_rank(values[index]), index))
    board = _Board({(id(value.extraction), value.identity, _key(value)) for value in values})
    for index in ranked:
        board.add(index, values[index])
    return [thing for _, thing in sorted(board.things, key=lambda numbered: numbered[0])]


def _rank(value: _Value) -> tuple[int, int, int]:
    return value.pass_number, -len(value.places), -value.size


def _key(value: _Value) -> str:
    return repr(sorted(value.places.items()))


_CELL = 64


@dataclass(frozen=True)
class _Board:
    """The values taken so far, with the numbers of their order, and which of them touch each stretch of the text.

    `said` is all that was said: by which answer, what, and where.
    """

    said: set[tuple[int, str, str]]
    things: list[tuple[int, _Thing]] = field(default_factory=list)
    cells: dict[int, dict[int, None]] = field(default_factory=dict)

    def add(self, number: int, value: _Value) -> None:
        """Take a value: as a thing of its own, as a repetition of another, or not at all."""
        near = [self.things[at][1] for at in dict.fromkeys(self._near(value))]
        home = next((thing for thing in near if _is_repeated(value, thing[0])), None)
        home = home or next((thing for thing in near if _is_said_again(value, thing)), None)
        if home is not None:
            home.append(value)
        elif not any(self._is_beaten(value, thing) for thing in near):
            for cell in _cells(value):
                self.cells.setdefault(cell, {})[len(self.things)] = None
            self.things.append((number, [value]))

    def _near(self, value: _Value) -> Iterator[int]:
        return chain.from_iterable(self.cells.get(cell, ()) for cell in _cells(value))

    def _is_beaten(self, value: _Value, thing: _Thing) -> bool:
        best = thing[0]
        if any(each.extraction is value.extraction for each in thing):
            return False
        if (id(best.extraction), value.identity, _key(value)) in self.said:
            return False
        return _is_within(value, best) or _is_within(best, value)


def _cells(value: _Value) -> Iterator[int]:
    for spans in value.places.values():
        for start, end in spans:
            yield from range(start // _CELL, end // _CELL + 1)


def _is_repeated(value: _Value, other: _Value) -> bool:
    return value.identity == other.identity and value.places == other.places


def _is_said_again(value: _Value, thing: _Thing) -> bool:
    """Whether another answer says the same of a place that the two share."""
    best = thing[0]
    if value.identity != best.identity or any(each.extraction is value.extraction for each in thing):
        return False
    return any(set(spans) & set(best.places.get(relative, ())) for relative, spans in value.places.items())


def _is_within(value: _Value, other: _Value) -> bool:
    """Whether all that a value stands for overlaps with what the other one does."""
    return all(
        any(start < high and low < end for low, high in other.places.get(relative, ()))
        for relative, spans in value.places.items()
        for start, end in spans
    )
