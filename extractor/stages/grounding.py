"""Stage 7: each value of an Extraction gets the span where it occurs in the text.

One that does not occur makes the Extraction a Rejection, or is withheld or flagged, as the schema says. A `verbatim`
value is an exact substring; of a `normalized` one the meaning must occur, whatever the width, case, spacing or
notation. Where a value occurs several times, its label or its neighbours decide, and `grounded` says which: `only`,
`label`, `order`, `first`. This module does not know how values are searched for (`text.places`), nor where they come
from.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from extractor.data import (
    Chunk,
    Document,
    Extraction,
    FailedDocument,
    Json,
    Outcome,
    Record,
    Rejection,
    Span,
    Ungrounded,
    carry_on,
)
from extractor.errors import UsageError
from extractor.task.task import Leaf, Task
from extractor.task.withhold import withhold
from extractor.text.meaning import meaning
from extractor.text.places import Places, TextIndex, occurrences, written

LABEL_REACH = 16
"""Characters: a value begins at most so far after its label."""

_SENTENCE_END = re.compile(r"[。！？!?；;]")
_LIST_INDEX = re.compile(r"/\d+(?=/|$)")


def ground(outcome: Outcome, ungrounded: Ungrounded = "retry") -> Outcome:
    """Find every value of an extraction in the chunk's text; the spans are in offsets of the document.

    `ungrounded` is what becomes of values that are not found, where the schema does not say (`x-ungrounded`). What a
    rejection would leave is grounded as well.
    """
    return carry_on(outcome, partial(_ground, default=ungrounded))


def find_missing(task: Task, data: Mapping[str, Json], text: str) -> list[str]:
    """Return the pointers of the values that should occur in a text and do not."""
    leaves = [leaf for leaf in task.leaves(data) if leaf.value is not None and leaf.ground != "none"]
    return [pointer for pointer, places in _candidates(leaves, TextIndex(text)).items() if not places]


def all_occurrences(record: Record, document: Document | FailedDocument, task: Task) -> Record:
    """Return the record with all places, in the whole document, of each value that has one.

    Those are the exact ones of a `verbatim` value, and those in any notation of a `normalized` one.
    """
    if isinstance(document, FailedDocument):
        return record
    index = TextIndex(document.text)
    leaves = [leaf for leaf in task.leaves(record.data or {}) if leaf.pointer in record.spans]
    places = _places(leaves, index, index.find_equivalent)
    spans = dict(record.spans)
    spans.update((pointer, tuple(sorted({*spans[pointer], *found}))) for pointer, found in places.items())
    located = {pointer: tuple(document.location(at) for at, _ in spans[pointer]) for pointer in record.locations}
    return replace(record, spans=spans, locations=located)


def check_examples(task: Task) -> None:
    """Raise UsageError where an example breaks the schema or has a value that does not occur in its text."""
    for example in task.examples:
        missing = find_missing(task, example.data, example.text)
        errors = task.validate(example.data) or [f"{pointer}: not in the text" for pointer in missing]
        if errors:
            raise UsageError(f"{example.where}: {'; '.join(errors)}. Correct it: answers follow their examples.")


def _ground(extraction: Extraction, default: Ungrounded) -> Outcome:
    chunk, task = extraction.chunk, extraction.completion.prompt.task
    values = [leaf for leaf in task.leaves(extraction.data) if leaf.value is not None]
    groundable = [leaf for leaf in values if leaf.ground != "none"]
    candidates = _candidates(groundable, TextIndex(chunk.text))
    ungrounded = [leaf for leaf in groundable if not candidates[leaf.pointer]]
    policies = {leaf.pointer: _policy(leaf, default, task) for leaf in ungrounded}
    found = [leaf for leaf in groundable if candidates[leaf.pointer]]
    selected = _SpanSelector(chunk.text, found, candidates).select()
    spans = {leaf.pointer: (_in_document(leaf, selected[leaf.pointer].span, chunk),) for leaf in found}
    methods = {leaf.pointer: _method(leaf, selected[leaf.pointer], chunk.text) for leaf in found}
    flags = _flags(values, ungrounded, extraction)
    grounded = replace(extraction, spans=spans, grounded=methods | flags)
    left = withhold(grounded, dict.fromkeys((at for at, policy in policies.items() if policy != "keep"), "ungrounded"))
    retried = [pointer for pointer, policy in policies.items() if policy == "retry"]
    if not retried:
        return left
    return Rejection.of(extraction.completion, "ungrounded", *map(_not_found, retried), salvage=left)


def _not_found(pointer: str) -> str:
    return f"{pointer}: not found in the document"


def _policy(leaf: Leaf, default: Ungrounded, task: Task) -> Ungrounded:
    """Decide what becomes of an ungrounded value. A verbatim one that is copied from an example is never kept."""
    policy = leaf.ungrounded or default
    leaked = policy == "keep" and leaf.ground == "verbatim" and _is_in_example(leaf, task)
    return "retry" if leaked else policy


def _flags(values: Sequence[Leaf], ungrounded: Sequence[Leaf], extraction: Extraction) -> dict[str, str]:
    """Return what is odd about values without a place, by pointer.

    `example`: an example has the value and the document does not, so the model may have copied it; `ungrounded`: any
    other that should occur in the text.
    """
    task, index = extraction.completion.prompt.task, TextIndex(extraction.chunk.document.text)
    flags = {leaf.pointer: "ungrounded" for leaf in ungrounded}
    for leaf in values:
        suspect = leaf.pointer in flags or leaf.ground == "none"
        if suspect and _is_in_example(leaf, task) and not index.find_by_meaning(leaf.value):
            flags[leaf.pointer] = "example"
    return flags


def _is_in_example(leaf: Leaf, task: Task) -> bool:
    whole = task.whole
    values = (each.value for example in whole.examples for each in whole.leaves(example.data) if each.value is not None)
    return any(meaning(leaf.value) == meaning(value) for value in values)


def _candidates(leaves: Sequence[Leaf], index: TextIndex) -> dict[str, Places]:
    """Return where each value may occur, by pointer: for a normalized one, exact places before other notations."""
    return _places(leaves, index, index.find_by_meaning)


def _places(leaves: Sequence[Leaf], index: TextIndex, find_normalized: Callable[[Json], Places]) -> dict[str, Places]:
    """Search for each distinct value once; return the places by pointer."""

    def find(leaf: Leaf) -> Places:
        if leaf.ground == "verbatim":
            return index.find_exact(leaf.value, any_border=leaf.any_border)
        return find_normalized(leaf.value)

    def search_key(leaf: Leaf) -> tuple[str, bool, str]:
        return leaf.ground, leaf.any_border, repr(leaf.value)

    known = {search_key(leaf): leaf for leaf in leaves}
    found = {key: find(leaf) for key, leaf in known.items()}
    return {leaf.pointer: found[search_key(leaf)] for leaf in leaves}


def _in_document(leaf: Leaf, span: Span, chunk: Chunk) -> Span:
    """Return the span in document offsets, checked: a verbatim value is the text there, in every record."""
    start, end = span[0] + chunk.start, span[1] + chunk.start
    if leaf.ground == "verbatim" and chunk.document.text[start:end] != written(leaf.value):
        raise RuntimeError(f"{leaf.pointer} is not the text at {start}:{end} of {chunk.document.id}")
    return start, end


class _Selection(NamedTuple):
    """One of the places of a value, and how it was selected: `only`, `label`, `order` or `first`."""

    span: Span
    method: str


def _method(leaf: Leaf, selection: _Selection, text: str) -> str:
    start, end = selection.span
    return selection.method if text[start:end] == written(leaf.value) else "normalized"


@dataclass(frozen=True)
class _SpanSelector:
    """Selects one place for each value among its candidates, by pointer.

    From the sure to the unsure, because what is selected guides the rest: values with a single place, then those after
    their label, then those between their neighbours, then items of lists, which have no label of their own.
    """

    text: str
    leaves: Sequence[Leaf]
    candidates: Mapping[str, Places]
    selected: dict[str, _Selection] = field(default_factory=dict)

    def select(self) -> Mapping[str, _Selection]:
        for leaf in self.leaves:
            places = self.candidates[leaf.pointer]
            if len(places) == 1:
                self.selected[leaf.pointer] = _Selection(places[0], "only")
        single = [leaf for leaf in self.leaves if not _is_in_list(leaf.pointer)]
        for leaf in single:
            labelled = None if leaf.pointer in self.selected else self._after_label(leaf)
            if labelled:
                self.selected[leaf.pointer] = _Selection(labelled, "label")
        for position, leaf in enumerate(single):
            if leaf.pointer not in self.selected:
                self.selected[leaf.pointer] = self._between_neighbours(single, position)
        self._select_in_lists()
        return self.selected

    def _after_label(self, leaf: Leaf) -> Span | None:
        """Return the candidate that follows the field's name or title most closely, if one does in the same sentence.

        O(labels x log candidates): the places are in order, so the next one after a label is found by bisection.
        """
        places = self.candidates[leaf.pointer]
        best: tuple[int, Span] | None = None
        for end in self._label_ends(leaf):
            at = bisect_left(places, (end, end))
            if at == len(places):
                continue
            distance = places[at][0] - end
            near = distance <= LABEL_REACH and not _SENTENCE_END.search(self.text, end, places[at][0])
            if near and (best is None or distance < best[0]):
                best = distance, places[at]
        return best[1] if best else None

    def _label_ends(self, leaf: Leaf) -> Iterator[int]:
        name = leaf.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
        for label in dict.fromkeys((name, leaf.title)):
            yield from (end for _, end in occurrences(self.text, label))

    def _between_neighbours(self, single: Sequence[Leaf], position: int) -> _Selection:
        """Select by the order of the fields, which values tend to follow: after the one before, before the one after.

        Neighbours are the nearest fields that have a place already.
        """
        places = self.candidates[single[position].pointer]
        before = self._first_selected(single[:position][::-1])
        after = self._first_selected(single[position + 1 :])
        following = _first_from(places, before[1]) if before else None
        if following:
            return _Selection(following, "order")
        if after and not before and places[0][1] <= after[0]:
            return _Selection(places[0], "order")
        return _Selection(places[0], "first")

    def _first_selected(self, leaves: Sequence[Leaf]) -> Span | None:
        return next((self.selected[leaf.pointer].span for leaf in leaves if leaf.pointer in self.selected), None)

    def _select_in_lists(self) -> None:
        """Give the items of a list successive places, and the values of one object places after each other.

        `reached` holds how far each list (`/行/*/价`, one for each column of its objects) and each object (`/行/0`) has
        come. A place after both is best; one after the list alone will do, as objects may list values in any order.
        """
        reached: dict[str, int] = {}
        for leaf in self.leaves:
            if not _is_in_list(leaf.pointer):
                continue
            column, item = _LIST_INDEX.sub("/*", leaf.pointer), leaf.pointer.rpartition("/")[0]
            if leaf.pointer not in self.selected:
                places = self.candidates[leaf.pointer]
                floor = reached.get(column, 0)
                following = _first_from(places, max(floor, reached.get(item, 0))) or _first_from(places, floor)
                in_order = following is not None and (floor or item in reached)
                self.selected[leaf.pointer] = _Selection(following or places[0], "order" if in_order else "first")
            reached[column] = reached[item] = self.selected[leaf.pointer].span[1]


def _is_in_list(pointer: str) -> bool:
    return bool(_LIST_INDEX.search(pointer))


def _first_from(places: Places, position: int) -> Span | None:
    """Return the first place that begins at or after a position."""
    at = bisect_left(places, (position, position))
    return places[at] if at < len(places) else None
