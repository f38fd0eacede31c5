"""Of several candidates for one place of the text one is kept: overlapping chunks and later passes repeat each other.

Candidates are the same by value and place, never by value alone: a document may say the same twice. This module does
not know what the candidates are merged to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from extractor.stages.merging.candidates import Candidate, Cluster


def deduplicate(candidates: Sequence[Candidate]) -> list[Cluster]:
    """Return a cluster for each value that is kept, with its repetitions, in the order that they are given in.

    Of two that different extractions give for one place, that of the earlier pass is kept, then the more complete one
    (a border may have cut the other short), then the longer. What the extraction with the better one says as well is
    kept too: names inside names.
    """
    ranked = sorted(range(len(candidates)), key=lambda index: (_rank(candidates[index]), index))
    clusters = _Clusters({_statement(candidate, candidate) for candidate in candidates})
    for index in ranked:  # best first, so that a candidate is only ever compared with better ones
        clusters.add(index, candidates[index])
    return [cluster for _, cluster in sorted(clusters.clusters, key=lambda numbered: numbered[0])]


def _rank(candidate: Candidate) -> tuple[int, int, int]:
    return candidate.pass_number, -len(candidate.places), -candidate.size


Statement = tuple[int, str, str]
"""Which extraction says what of which places."""


def _statement(by: Candidate, of: Candidate) -> Statement:
    """Return what it would be if the extraction of one candidate said what another one says."""
    return id(by.extraction), of.identity, repr(sorted(of.places.items()))


_CELL = 64
"""Characters: about the length of a value, so that a value is in one or two cells and meets few others there."""


@dataclass(frozen=True)
class _Clusters:
    """The clusters so far, each with its number in the input, and which of them touch each cell of the text.

    Only those that share a cell are compared, so that the time is linear in the number of candidates unless they crowd
    in one place. `statements` is all that all extractions say.
    """

    statements: set[Statement]
    clusters: list[tuple[int, Cluster]] = field(default_factory=list)
    cells: dict[int, dict[int, None]] = field(default_factory=dict)

    def add(self, number: int, candidate: Candidate) -> None:
        """Add a candidate: to the cluster that it repeats, as a cluster of its own, or not at all."""
        near = [self.clusters[at][1] for at in dict.fromkeys(self._near(candidate))]
        repeated = next((cluster for cluster in near if _is_same(candidate, cluster[0])), None)
        repeated = repeated or next((cluster for cluster in near if _is_restated(candidate, cluster)), None)
        if repeated is not None:
            repeated.append(candidate)
        elif not any(self._is_superseded(candidate, cluster) for cluster in near):
            for cell in _cells(candidate):
                self.cells.setdefault(cell, {})[len(self.clusters)] = None
            self.clusters.append((number, [candidate]))

    def _near(self, candidate: Candidate) -> Iterator[int]:
        return chain.from_iterable(self.cells.get(cell, ()) for cell in _cells(candidate))

    def _is_superseded(self, candidate: Candidate, cluster: Cluster) -> bool:
        """Tell whether a better candidate of another extraction has the place, and that extraction lacks this one."""
        best = cluster[0]
        if any(each.extraction is candidate.extraction for each in cluster):
            return False
        if _statement(best, candidate) in self.statements:
            return False
        return _is_within(candidate, best) or _is_within(best, candidate)


def _cells(candidate: Candidate) -> Iterator[int]:
    for spans in candidate.places.values():
        for start, end in spans:
            yield from range(start // _CELL, end // _CELL + 1)


def _is_same(candidate: Candidate, other: Candidate) -> bool:
    return candidate.identity == other.identity and candidate.places == other.places


def _is_restated(candidate: Candidate, cluster: Cluster) -> bool:
    """Tell whether another extraction gives the same value, and they share a place of it."""
    best = cluster[0]
    if candidate.identity != best.identity or any(each.extraction is candidate.extraction for each in cluster):
        return False
    return any(set(spans) & set(best.places.get(relative, ())) for relative, spans in candidate.places.items())


def _is_within(candidate: Candidate, other: Candidate) -> bool:
    """Tell whether every place of a candidate overlaps with the place of the same part of another."""
    return all(
        any(start < high and low < end for low, high in other.places.get(relative, ()))
        for relative, spans in candidate.places.items()
        for start, end in spans
    )
