"""A candidate for the data of a document: a value of one extraction, with all that is known of it there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from extractor.data import FLAGS, Extraction, Json, Span
from extractor.text.json_pointer import escape_pointer


@dataclass(frozen=True)
class Candidate:
    """A value of one extraction: a scalar, an object or a list, at `pointer` in the extraction's data."""

    extraction: Extraction
    pointer: str
    value: Json

    def member(self, name: str) -> Candidate:
        return Candidate(self.extraction, f"{self.pointer}/{escape_pointer(name)}", self.value.get(name))

    def items(self) -> Iterator[Candidate]:
        for index, item in enumerate(self.value):
            yield Candidate(self.extraction, f"{self.pointer}/{index}", item)

    @property
    def pass_number(self) -> int:
        return self.extraction.completion.prompt.pass_number

    @property
    def is_flagged(self) -> bool:
        return self.extraction.grounded.get(self.pointer) in FLAGS

    @cached_property
    def identity(self) -> str:
        """The value as JSON text: 1, 1.0 and true are equal in Python and are different values."""
        return json.dumps(self.value, sort_keys=True)

    @cached_property
    def places(self) -> Mapping[str, tuple[Span, ...]]:
        """Where the scalars inside occur, by their pointers relative to the value; without those that have no place."""
        spans = self.extraction.spans
        return {relative: spans[pointer] for relative, pointer in self.leaves() if spans.get(pointer)}

    @cached_property
    def size(self) -> int:
        """Characters of text at the places of the value."""
        return sum(end - start for spans in self.places.values() for start, end in spans)

    def leaves(self, pointer: str = "") -> Iterator[tuple[str, str]]:
        """Yield the pointers of the scalars inside, relative to the value and absolute."""
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

    def first_span(self) -> Span | None:
        return next((span for spans in self.places.values() for span in spans), None)


Cluster = list[Candidate]
"""Candidates of several extractions that are one value, the best first."""
