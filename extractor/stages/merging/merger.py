"""The data of several extractions becomes one: scalars, lists and objects each by a rule of its own.

What several extractions say of one place is settled before (`deduplication`). This module does not know chunks but by
their order and range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from extractor.data import FLAGS, Conflict, Extraction, Json, Span, Withheld
from extractor.errors import Code
from extractor.stages.merging.candidates import Candidate, Cluster
from extractor.stages.merging.deduplication import deduplicate
from extractor.task.schema_node import Name, SchemaNode
from extractor.task.task import Task
from extractor.task.walk import UNKNOWN
from extractor.task.withhold import Removal
from extractor.text.json_pointer import escape_pointer


@dataclass(frozen=True)
class Merger:
    """Merges the data of a document's extractions, and collects what is known of each value by its new pointer."""

    task: Task
    spans: dict[str, set[Span]] = field(default_factory=dict)
    grounded: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    conflicts: dict[str, list[Conflict]] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)

    def merge(self, extractions: Sequence[Extraction]) -> dict[str, Json]:
        """Return the data that extractions in document order come to."""
        candidates = [Candidate(extraction, "", extraction.data) for extraction in extractions]
        return self._object(candidates, self.task.compiled.root_name, "")

    def withhold(self, data: Mapping[str, Json], why: Mapping[str, Code]) -> tuple[dict[str, Json], list[Withheld]]:
        """Take the values at some pointers out of merged data; return what is left, and what went."""
        removal = Removal.of(self.task, data, why)
        went = removal.listed({pointer: sorted(found) for pointer, found in self.spans.items()}, self.confidence)
        every = (self.spans, self.grounded, self.confidence, self.conflicts, self.passes)
        for known in cast(tuple[dict[str, Any], ...], every):
            moved = removal.move(known)
            known.clear()
            known.update(moved)
        return removal.data, went

    def _merge(self, candidates: Sequence[Candidate], name: Name | None, pointer: str) -> Json:
        present = [candidate for candidate in candidates if candidate.value is not None]
        if not present:
            self._keep(candidates, pointer)
            return None
        if all(isinstance(candidate.value, list) for candidate in present):
            return self._list(present, self._node(name, present), pointer)
        if all(isinstance(candidate.value, dict) for candidate in present):
            return self._object(present, name, pointer)
        return self._scalar(present, pointer)

    def _node(self, name: Name | None, candidates: Sequence[Candidate]) -> SchemaNode:
        """Return the node that values answer to; of alternatives that of the first value."""
        return UNKNOWN if name is None else self.task.walk.settle(name, candidates[0].value)

    def _object(self, candidates: Sequence[Candidate], node_name: Name | None, pointer: str) -> dict[str, Json]:
        """Merge member by member, in the order of the schema, then those that it does not know."""
        node = self._node(node_name, candidates)
        properties = node.properties
        written = dict.fromkeys(name for candidate in candidates for name in candidate.value)
        known = [name for name in properties if name in written]
        unknown = [name for name in written if name not in properties]
        return {
            name: self._merge(
                [candidate.member(name) for candidate in candidates],
                self.task.walk.member(node, name),
                f"{pointer}/{escape_pointer(name)}",
            )
            for name in (*known, *unknown)
        }

    def _scalar(self, candidates: Sequence[Candidate], pointer: str) -> Json:
        """Return the first value in document order, a grounded one before a flagged one; the others are conflicts.

        An earlier pass goes before a later one, which only has a say where it found nothing in the same chunk.
        """
        clusters = deduplicate(_first_passes(candidates))
        clusters.sort(key=lambda cluster: (cluster[0].is_flagged, cluster[0].pass_number))
        first, *others = _group_equal(clusters)
        self._keep(first, pointer)
        for group in others:
            span = next(filter(None, (candidate.first_span() for candidate in group)), None)
            self.conflicts.setdefault(pointer, []).append(Conflict(group[0].value, span))
        return first[0].value

    def _list(self, candidates: Sequence[Candidate], node: SchemaNode, pointer: str) -> list[Json]:
        """Return all items, in the order of the answer, or of the document where there are several answers.

        What a document repeats is repeated: items are united by place, not by value, so one can be listed as often as
        it occurs in the text. Those without a place keep the most repeats that one answer has. Only `uniqueItems`
        unites equal values, with all their places.
        """
        clusters = deduplicate([item for candidate in candidates for item in candidate.items()])
        if len(candidates) > 1:
            clusters = _in_document_order(clusters)
        groups = _group_equal(clusters) if node.bounds.unique_items else _group_repeats(clusters)
        for index, group in enumerate(groups):
            self._keep(group, f"{pointer}/{index}")
        return [group[0].value for group in groups]

    def _keep(self, group: Sequence[Candidate], pointer: str) -> None:
        """Collect what is known of equal values: all places, the best confidence, how the first was grounded.

        A flag (`ungrounded`, `example`) says that a value has no place, so it goes as soon as one of them has.
        """
        for candidate in group:
            known = candidate.extraction
            for relative, old in candidate.leaves():
                new = pointer + relative
                if known.spans.get(old) and new not in self.spans:
                    self.grounded.pop(new, None)
                if known.spans.get(old):
                    self.spans.setdefault(new, set()).update(known.spans[old])
                if old in known.grounded and not (known.grounded[old] in FLAGS and new in self.spans):
                    self.grounded.setdefault(new, known.grounded[old])
                if old in known.confidence:
                    self.confidence[new] = max(known.confidence[old], self.confidence.get(new, 0.0))
        if (number := min(candidate.pass_number for candidate in group)) > 1:
            self.passes.update((pointer + relative, number) for relative, _ in group[0].leaves())


def _group_equal(clusters: Iterable[Cluster]) -> list[Cluster]:
    """Join clusters of equal values, in the order of the first of each."""
    groups: dict[str, Cluster] = {}
    for cluster in clusters:
        groups.setdefault(cluster[0].identity, []).extend(cluster)
    return list(groups.values())


def _group_repeats(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Join the n-th equal values of each answer that have no place: only their order tells them apart."""
    seen: Counter[tuple[int, str]] = Counter()
    groups: dict[tuple[str, int] | int, Cluster] = {}
    for number, cluster in enumerate(clusters):
        first = cluster[0]
        if first.places:
            groups[number] = cluster
            continue
        statement = id(first.extraction), first.identity
        groups.setdefault((first.identity, seen[statement]), []).extend(cluster)
        seen[statement] += 1
    return list(groups.values())


def _first_passes(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates without those for which an earlier pass over the same chunk has one."""
    first: dict[Span, int] = {}
    for candidate in candidates:
        span = _chunk_span(candidate)
        first[span] = min(candidate.pass_number, first.get(span, candidate.pass_number))
    return [candidate for candidate in candidates if candidate.pass_number == first[_chunk_span(candidate)]]


def _chunk_span(candidate: Candidate) -> Span:
    return candidate.extraction.chunk.start, candidate.extraction.chunk.end


def _in_document_order(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Sort by place; one without a place goes after the one before it, or to where its chunk begins."""
    places: list[int] = []
    last: Cluster | None = None
    for cluster in clusters:
        known = cluster[0].first_place()
        if known is None:
            follows = last is not None and last[0].extraction is cluster[0].extraction
            known = places[-1] if follows else cluster[0].extraction.chunk.start
        places.append(known)
        last = cluster
    return [clusters[index] for index in sorted(range(len(clusters)), key=lambda index: places[index])]
