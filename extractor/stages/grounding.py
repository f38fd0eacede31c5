"""Each value of an Extraction gets the place where it stands in the text, or the Extraction becomes a Rejection, or
the value is withheld or flagged, as the schema wishes.

A `verbatim` value is an exact substring; of a `normalized` one only the meaning must stand there, whatever the width,
case, spacing or notation. Where a value stands several times, the place is chosen that its label or its neighbours
speak for, and `grounded` says which: `only`, `label`, `order`, `first`. This module does not know how the value came
to be.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from extractor.data import Document, Extraction, FailedDocument, Json, Outcome, Record, Rejection, Span, Ungrounded
from extractor.errors import UsageError
from extractor.task.task import Leaf, Task
from extractor.task.withhold import withhold
from extractor.text.meaning import meaning
from extractor.text.places import Places, TextIndex, occurrences, written

LABEL_REACH = 16
"""A value stands at most so many characters behind its label."""

_SENTENCE_END = re.compile(r"[。！？!?；;]")


def ground(outcome: Outcome, ungrounded: Ungrounded = "retry") -> Outcome:
    """Find every value of an extraction in the chunk's text; the spans are in offsets of the document.

    `ungrounded` is what becomes of values that are not found, where the schema does not say (`x-ungrounded`). A
    rejection stays as it is.
    """
    return _ground(outcome, ungrounded) if isinstance(outcome, Extraction) else outcome


def _ground(extraction: Extraction, ungrounded: Ungrounded) -> Outcome:
    chunk = extraction.chunk
    task = extraction.completion.prompt.task
    every = [leaf for leaf in task.leaves(extraction.data) if leaf.value is not None]
    leaves = [leaf for leaf in every if leaf.ground != "none"]
    candidates = _candidates(leaves, TextIndex(chunk.text))
    ungrounded_leaves = [leaf for leaf in leaves if not candidates[leaf.pointer]]
    policies = {leaf.pointer: _policy(leaf, ungrounded, task) for leaf in ungrounded_leaves}
    missing = tuple(
        f"{pointer}: not found in the document" for pointer, policy in policies.items() if policy == "retry"
    )
    if missing:
        return Rejection.of(extraction.completion, "ungrounded", *missing)
    found = [leaf for leaf in leaves if candidates[leaf.pointer]]
    choice = _Choice(chunk.text, found, candidates)
    choice.choose()
    placed = replace(
        extraction,
        spans={leaf.pointer: (_checked(leaf, choice.spans[leaf.pointer], extraction),) for leaf in found},
        grounded={leaf.pointer: _how(leaf, choice, chunk.text) for leaf in found}
        | _flags(every, ungrounded_leaves, extraction),
    )
    return _without(placed, [pointer for pointer, policy in policies.items() if policy == "null"])


def find_missing(task: Task, data: Mapping[str, Json], text: str) -> list[str]:
    """Pointers of the values that do not stand in a text and should."""
    leaves = [leaf for leaf in task.leaves(data) if leaf.value is not None and leaf.ground != "none"]
    return [pointer for pointer, places in _candidates(leaves, TextIndex(text)).items() if not places]


def all_occurrences(record: Record, document: Document | FailedDocument, task: Task) -> Record:
    """The record with all places of each value that has one, in the whole document: to the letter of a `verbatim`
    value, in any notation of a `normalized` one."""
    if isinstance(document, FailedDocument):
        return record
    index = TextIndex(document.text)
    spans = dict(record.spans)
    known: dict[tuple[str, str], Places] = {}
    for leaf in task.leaves(record.data or {}):
        if leaf.pointer not in spans:
            continue
        key = (leaf.ground, repr(leaf.value))
        if key not in known:
            known[key] = (
                index.find_exact(leaf.value) if leaf.ground == "verbatim" else index.find_equivalent(leaf.value)
            )
        spans[leaf.pointer] = tuple(sorted({*spans[leaf.pointer], *known[key]}))
    located = {pointer: tuple(document.location(at) for at, _ in spans[pointer]) for pointer in record.locations}
    return replace(record, spans=spans, locations=located)


def check_examples(task: Task) -> None:
    """Raise UsageError where an example breaks the schema or has a value that does not occur in its text."""
    for example in task.examples:
        missing = find_missing(task, example.data, example.text)
        errors = task.validate(example.data) or [f"{pointer}: not in the text" for pointer in missing]
        if errors:
            raise UsageError(f"{example.where}: {'; '.join(errors)}. Correct it: answers follow their examples.")


def _policy(leaf: Leaf, default: Ungrounded, task: Task) -> Ungrounded:
    """What becomes of a value that stands nowhere. A verbatim value out of an example is never kept."""
    policy = leaf.ungrounded or default
    leaked = policy == "keep" and leaf.ground == "verbatim" and _is_of_an_example(leaf, task)
    return "retry" if leaked else policy


def _flags(leaves: Sequence[Leaf], ungrounded_leaves: Sequence[Leaf], extraction: Extraction) -> dict[str, str]:
    """What is odd about values without a place: `example`, for one that an example has and the document has not, where
    the model may have taken it from; `ungrounded`, for others that should stand in the text."""
    task, text = extraction.completion.prompt.task, extraction.chunk.document.text
    flags = {leaf.pointer: "ungrounded" for leaf in ungrounded_leaves}
    for leaf in leaves:
        doubtful = leaf.pointer in flags or leaf.ground == "none"
        if doubtful and _is_of_an_example(leaf, task) and not TextIndex(text).find_by_meaning(leaf.value):
            flags[leaf.pointer] = "example"
    return flags


def _is_of_an_example(leaf: Leaf, task: Task) -> bool:
    whole = task.whole
    values = (each.value for example in whole.examples for each in whole.leaves(example.data) if each.value is not None)
    return any(meaning(leaf.value) == meaning(value) for value in values)


def _without(extraction: Extraction, pointers: Sequence[str]) -> Outcome:
    """The extraction without values that stand nowhere, unless the schema does not let go of them."""
    left = withhold(extraction, dict.fromkeys(pointers, "ungrounded"))
    errors = extraction.completion.prompt.task.validate(left.data) if pointers else ()
    if errors:
        missing = tuple(f"{pointer}: not found in the document" for pointer in pointers)
        without = (f"{error}, without it" for error in errors)
        return Rejection.of(extraction.completion, "ungrounded", *missing, *without)
    return left


def _candidates(leaves: Sequence[Leaf], index: TextIndex) -> dict[str, Places]:
    """Where each value may stand; values that come several times are looked for once."""
    known: dict[tuple[str, str], Places] = {}
    for leaf in leaves:
        key = (leaf.ground, repr(leaf.value))
        if key not in known:
            known[key] = (
                index.find_exact(leaf.value) if leaf.ground == "verbatim" else index.find_by_meaning(leaf.value)
            )
    return {leaf.pointer: known[leaf.ground, repr(leaf.value)] for leaf in leaves}


def _checked(leaf: Leaf, span: Span, extraction: Extraction) -> Span:
    """The span in the document, where a verbatim value must really stand: the promise of every record."""
    chunk = extraction.chunk
    start, end = span[0] + chunk.start, span[1] + chunk.start
    if leaf.ground == "verbatim" and chunk.document.text[start:end] != written(leaf.value):
        raise RuntimeError(f"{leaf.pointer} is not what stands at {start}:{end} of {chunk.document.id}")
    return start, end


def _how(leaf: Leaf, choice: _Choice, text: str) -> str:
    start, end = choice.spans[leaf.pointer]
    return choice.how[leaf.pointer] if text[start:end] == written(leaf.value) else "normalized"


@dataclass(frozen=True)
class _Choice:
    """One place for each value, chosen among its candidates: `spans` and `how` fill up from the sure to the unsure."""

    text: str
    leaves: Sequence[Leaf]
    candidates: Mapping[str, Places]
    spans: dict[str, Span] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)

    def choose(self) -> None:
        single = [leaf for leaf in self.leaves if not _is_in_list(leaf.pointer)]
        for leaf in self.leaves:
            if len(self.candidates[leaf.pointer]) == 1:
                self._take(leaf.pointer, self.candidates[leaf.pointer][0], "only")
        for leaf in single:
            labelled = None if leaf.pointer in self.spans else self._behind_label(leaf)
            if labelled:
                self._take(leaf.pointer, labelled, "label")
        for position, leaf in enumerate(single):
            if leaf.pointer not in self.spans:
                self._take(leaf.pointer, *self._between_neighbours(single, position))
        self._choose_in_lists()

    def _take(self, pointer: str, span: Span, how: str) -> None:
        self.spans[pointer] = span
        self.how[pointer] = how

    def _behind_label(self, leaf: Leaf) -> Span | None:
        """The candidate that follows the field's name or title most closely, if one does so within reach."""
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

    def _between_neighbours(self, single: Sequence[Leaf], position: int) -> tuple[Span, str]:
        """Values tend to stand in the order of the fields: behind the one before, in front of the one after."""
        places = self.candidates[single[position].pointer]
        before = next(
            (self.spans[leaf.pointer] for leaf in single[:position][::-1] if leaf.pointer in self.spans), None
        )
        after = next((self.spans[leaf.pointer] for leaf in single[position + 1 :] if leaf.pointer in self.spans), None)
        behind = _from(places, before[1]) if before else None
        if behind:
            return behind, "order"
        if after and not before and places[0][1] <= after[0]:
            return places[0], "order"
        return places[0], "first"

    def _choose_in_lists(self) -> None:
        """Items take successive occurrences; the values of one object stand behind each other."""
        reached: dict[str, int] = {}
        for leaf in self.leaves:
            if not _is_in_list(leaf.pointer):
                continue
            lists, item = _INDEX.sub("/*", leaf.pointer), leaf.pointer.rpartition("/")[0]
            if leaf.pointer not in self.spans:
                places = self.candidates[leaf.pointer]
                floor = reached.get(lists, 0)
                next_one = _from(places, max(floor, reached.get(item, 0))) or _from(places, floor)
                follows = next_one is not None and (floor or item in reached)
                self._take(leaf.pointer, next_one or places[0], "order" if follows else "first")
            reached[lists] = reached[item] = self.spans[leaf.pointer][1]


_INDEX = re.compile(r"/\d+(?=/|$)")


def _is_in_list(pointer: str) -> bool:
    return bool(_INDEX.search(pointer))


def _from(places: Places, position: int) -> Span | None:
    """The first place at or behind a position."""
    at = bisect_left(places, (position, position))
    return places[at] if at < len(places) else None
