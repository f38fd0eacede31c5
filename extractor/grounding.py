"""Each value of an Extraction gets the place where it stands in the text, or the Extraction becomes a Rejection.

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

from extractor.tasks import Leaf
from extractor.text.places import Places, TextIndex, occurrences, written
from extractor.types import Extraction, Outcome, Rejection, Span

LABEL_REACH = 16
"""A value stands at most so many characters behind its label."""

_SENTENCE_END = re.compile(r"[。！？!?；;]")


def ground(extraction: Extraction) -> Outcome:
    """Find every value in the chunk's text; the spans are in offsets of the document."""
    chunk = extraction.chunk
    task = extraction.completion.prompt.task
    leaves = [leaf for leaf in task.leaves(extraction.data) if leaf.value is not None and leaf.ground != "none"]
    candidates = _candidates(leaves, TextIndex(chunk.text))
    missing = tuple(f"{pointer}: not in the document" for pointer, places in candidates.items() if not places)
    if missing:
        return Rejection(extraction.completion, "ungrounded", missing)
    choice = _Choice(chunk.text, leaves, candidates)
    choice.choose()
    return replace(
        extraction,
        spans={leaf.pointer: (_checked(leaf, choice.spans[leaf.pointer], extraction),) for leaf in leaves},
        grounded={leaf.pointer: _how(leaf, choice, chunk.text) for leaf in leaves},
    )


def _candidates(leaves: Sequence[Leaf], index: TextIndex) -> dict[str, Places]:
    """Where each value may stand; values that come several times are looked for once."""
    known: dict[tuple[str, str], Places] = {}
    for leaf in leaves:
        key = (leaf.ground, repr(leaf.value))
        if key not in known:
            known[key] = index.exactly(leaf.value) if leaf.ground == "verbatim" else index.in_meaning(leaf.value)
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
        for label in dict.fromkeys((name, str(leaf.schema.get("title", "")))):
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
