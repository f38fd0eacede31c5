"""The data of several answers become one: scalars, lists and objects each by a rule of its own.

What several answers say of one place is settled before (`overlaps`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from extractor.data import FLAGS, Conflict, Extraction, Json, Span
from extractor.stages.merging.overlaps import standing
from extractor.stages.merging.values import Thing, Value
from extractor.task.json_pointer import escape_pointer
from extractor.task.schema_node import Name, SchemaNode
from extractor.task.task import Task
from extractor.task.walk import UNKNOWN


@dataclass(frozen=True)
class Merger:
    """Unites the data of a document's extractions, and all that is known about each value on the way."""

    task: Task
    spans: dict[str, set[Span]] = field(default_factory=dict)
    grounded: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    conflicts: dict[str, list[Conflict]] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)

    def merged(self, extractions: Sequence[Extraction]) -> dict[str, Json]:
        values = [Value(extraction, "", extraction.data) for extraction in extractions]
        return self._object(values, self.task.compiled.root_name, "")

    def _merge(self, values: Sequence[Value], name: Name | None, pointer: str) -> Json:
        present = [value for value in values if value.value is not None]
        if not present:
            self._keep(values, pointer)
            return None
        if all(isinstance(value.value, list) for value in present):
            return self._list(present, self._node(name, present), pointer)
        if all(isinstance(value.value, dict) for value in present):
            return self._object(present, name, pointer)
        return self._scalar(present, pointer)

    def _node(self, name: Name | None, values: Sequence[Value]) -> SchemaNode:
        """Return the node that values answer to; of alternatives that of the first value."""
        return UNKNOWN if name is None else self.task.walk.settle(name, values[0].value)

    def _object(self, values: Sequence[Value], name: Name | None, pointer: str) -> dict[str, Json]:
        """Merge member by member, in the order of the schema."""
        node = self._node(name, values)
        properties = node.properties
        written = dict.fromkeys(name for value in values for name in value.value)
        names = [
            *(name for name in properties if name in written),
            *(name for name in written if name not in properties),
        ]
        return {
            each: self._merge(
                [value.member(each) for value in values],
                self.task.walk.member(node, each),
                f"{pointer}/{escape_pointer(each)}",
            )
            for each in names
        }

    def _scalar(self, values: Sequence[Value], pointer: str) -> Json:
        """The first value in document order, of those that stand in the text if any does, one of an earlier pass before
        those of later ones; others are conflicts.

        A later pass only has a say where the earlier ones found nothing in the same chunk.
        """
        things = sorted(standing(_first_passes(values)), key=lambda thing: (thing[0].is_flagged, thing[0].pass_number))
        first, *others = _grouped(things)
        self._keep(first, pointer)
        for group in others:
            span = next(filter(None, (value.first_span() for value in group)), None)
            self.conflicts.setdefault(pointer, []).append(Conflict(group[0].value, span))
        return first[0].value

    def _list(self, values: Sequence[Value], node: SchemaNode, pointer: str) -> list[Json]:
        """All items, in the order of the answer, and of the document where there are several answers.

        A value stands once, with all its places, unless `uniqueItems` is false; equal objects at different places are
        several items, unless it is true.
        """
        things = standing([item for value in values for item in value.items()])
        if len(values) > 1:
            things = _in_document_order(things)
        groups = _grouped(things, lambda value: _may_repeat(value, node))
        for index, group in enumerate(groups):
            self._keep(group, f"{pointer}/{index}")
        return [group[0].value for group in groups]

    def _keep(self, group: Sequence[Value], pointer: str) -> None:
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


def _grouped(things: Iterable[Thing], may_repeat: Callable[[Value], bool] = lambda _: False) -> list[Thing]:
    """Equal values together, in the order of the first of each, but for those that may stand several times."""
    groups: dict[str | int, Thing] = {}
    for number, thing in enumerate(things):
        groups.setdefault(number if may_repeat(thing[0]) else thing[0].identity, []).extend(thing)
    return list(groups.values())


def _may_repeat(value: Value, node: SchemaNode) -> bool:
    """Whether a list may hold the value once more if it stands in the text once more."""
    unique = node.bounds.unique_items
    return bool(value.places) and not (not isinstance(value.value, dict) if unique is None else unique)


def _first_passes(values: Sequence[Value]) -> list[Value]:
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


def _in_document_order(things: Sequence[Thing]) -> list[Thing]:
    """By place; one without a place goes behind the one before it, or to where its chunk begins."""
    places: list[int] = []
    last: Thing | None = None
    for thing in things:
        known = thing[0].first_place()
        if known is None:
            follows = last is not None and last[0].extraction is thing[0].extraction
            known = places[-1] if follows else thing[0].extraction.chunk.start
        places.append(known)
        last = thing
    return [things[index] for index in sorted(range(len(things)), key=lambda index: places[index])]
