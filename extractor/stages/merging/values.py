"""A value of one answer, with all that is known about it there: what is united into the data of a document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from extractor.data import FLAGS, Extraction, Json, Span
from extractor.task.json_pointer import escape_pointer


@dataclass(frozen=True)
class Value:
    """A value of one extraction and where it is in that extraction's data."""

    extraction: Extraction
    pointer: str
    value: Json

    def member(self, name: str) -> Value:
        return Value(self.extraction, f"{self.pointer}/{escape_pointer(name)}", self.value.get(name))

    def items(self) -> Iterator[Value]:
        for index, item in enumerate(self.value):
            yield Value(self.extraction, f"{self.pointer}/{index}", item)

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

    def first_span(self) -> Span | None:
        return next((span for spans in self.places.values() for span in spans), None)


Thing = list[Value]
"""Values of several answers that are about one thing, the one that counts first."""
