"""Values against values, spans against spans, lists by their best one-to-one matching.

Equal items of a list count once. Objects in lists are paired so that as many of their values as possible agree, spans
so that they overlap as much as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from extractor.data import Json, Span
from extractor.evaluation.annotations import Mention
from extractor.text.json_pointer import escape_pointer, scalars

Key = Callable[[Json], Hashable]
"""Two scalars are equal if their keys are."""

Item = TypeVar("Item")
Facts = frozenset[tuple[str, Hashable]]
_Located = tuple[str, Json]
"""A pointer and what it points to."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A value that was found (`right` or not), or one of the gold that was `missed`."""

    field: str
    pointer: str
    value: Json
    outcome: str

    @property
    def right(self) -> bool:
        return self.outcome == "right"


def match_values(found: Mapping[str, Json] | None, gold: Mapping[str, Json] | None, key: Key) -> list[Verdict]:
    """Return a verdict for every value found, right or wrong, and for every value missed. Null is not a value."""
    ours, theirs = ([] if side is None else [("", side)] for side in (found, gold))
    return list(_members(ours, theirs, key, ""))


def _judged(found: Sequence[_Located], gold: Sequence[_Located], key: Key, field: str) -> Iterator[Verdict]:
    """Compare the items of a field. Scalars are a set; objects are paired and compared member by member."""
    yield from _scalars(found, gold, key, field)
    ours, theirs = _objects(found, key), _objects(gold, key)
    pairs = best_pairs(list(ours), list(theirs), lambda one, other: len(one & other))
    mine, yours = list(ours.values()), list(theirs.values())
    for one, other in pairs:
        yield from _members([mine[one]], [yours[other]], key, field)
    for one in sorted(set(range(len(mine))) - {one for one, _ in pairs}):
        yield from _members([mine[one]], [], key, field)
    for other in sorted(set(range(len(yours))) - {other for _, other in pairs}):
        yield from _members([], [yours[other]], key, field)


def _members(found: Sequence[_Located], gold: Sequence[_Located], key: Key, field: str) -> Iterator[Verdict]:
    for name in dict.fromkeys(name for _, item in (*found, *gold) for name in item):
        part = escape_pointer(str(name))
        ours, theirs = (
            [each for pointer, item in side for each in _items(item.get(name), f"{pointer}/{part}")]
            for side in (found, gold)
        )
        yield from _judged(ours, theirs, key, f"{field}/{part}" if field else part)


def _items(value: Json, pointer: str) -> Iterator[_Located]:
    """Yield the values of a field: the items of a list, a single value, nothing for null."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _items(item, f"{pointer}/{index}")
    elif value is not None:
        yield pointer, value


def _scalars(found: Sequence[_Located], gold: Sequence[_Located], key: Key, field: str) -> Iterator[Verdict]:
    ours, theirs = _distinct(found, key), _distinct(gold, key)
    for each, (pointer, value) in ours.items():
        yield Verdict(field, pointer, value, "right" if each in theirs else "wrong")
    for each, (pointer, value) in theirs.items():
        if each not in ours:
            yield Verdict(field, pointer, value, "missed")


def _distinct(items: Iterable[_Located], key: Key) -> dict[Hashable, _Located]:
    return {key(item): (pointer, item) for pointer, item in reversed(list(items)) if not isinstance(item, Mapping)}


def _objects(items: Iterable[_Located], key: Key) -> dict[Facts, _Located]:
    """Return the objects among the items by their facts, so that equal ones occur once."""
    return {_facts(item, key): (pointer, item) for pointer, item in items if isinstance(item, Mapping)}


def _facts(item: Json, key: Key) -> Facts:
    """Return the facts of an object: its values, each with its field."""
    return frozenset((field, key(value)) for field, _, value in scalars(item) if value is not None)


# Spans


def count_overlapping(found: Iterable[Mention], gold: Iterable[Mention]) -> int:
    """Return how many mentions of one field overlap at all, in a one-to-one pairing with the largest overlap
    (the same one whatever the order they come in)."""
    ours, theirs = ([span for _, span in sorted(side)] for side in (found, gold))
    return len(best_pairs(ours, theirs, _shared))


def _shared(one: Span, other: Span) -> float:
    """Return the share of characters that two spans have in common (Jaccard index)."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    return both / (one[1] - one[0] + other[1] - other[0] - both) if both > 0 else 0.0


# Pairing


def best_pairs(left: Sequence[Item], right: Sequence[Item], agreement: Callable[[Item, Item], float]) -> list[Span]:
    """Return the indexes of the one-to-one pairing with the greatest sum of agreements, pairs without any left out.

    Equal items are paired first. That costs nothing where disagreement is a distance, as it is for the number of facts
    that two sets do not share and for the Jaccard distance of two spans: for p = g the triangle inequality gives
    a(p, g) + a(p', g') >= a(p, g') + a(p', g), so any other pairing can be changed into one with (p, g) that is no
    worse. What is left goes through the Hungarian method, cubic in its size.
    """
    waiting: dict[Item, list[int]] = {}
    for index, item in enumerate(right):
        waiting.setdefault(item, []).append(index)
    pairs = [(index, waiting[item].pop(0)) for index, item in enumerate(left) if waiting.get(item)]
    taken = {one for one, _ in pairs}, {other for _, other in pairs}
    rows = [index for index in range(len(left)) if index not in taken[0]]
    columns = [index for index in range(len(right)) if index not in taken[1]]
    table = np.array([[agreement(left[row], right[column]) for column in columns] for row in rows])
    if table.size:
        pairs += [(rows[row], columns[column]) for row, column in _assignment(table) if table[row, column] > 0]
    return sorted(pairs)


def _assignment(table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[Span]:
    """Assign rows to columns with the greatest sum: shortest augmenting paths with potentials (Kuhn 1955, Munkres 1957;
    Jonker and Volgenant 1987)."""
    if table.shape[0] > table.shape[1]:
        return [(row, column) for column, row in _assignment(table.T)]
    cost = table.max() - table
    count, width = cost.shape
    above, below = np.zeros(count), np.zeros(width + 1)
    owner = np.full(width + 1, -1)  # the row that a column belongs to; the last column stands for none
    for row in range(count):
        column, owner[width] = width, row
        distance, visited = np.full(width, np.inf), np.zeros(width + 1, bool)
        before = np.full(width, width)
        while owner[column] >= 0:
            visited[column] = True
            reduced = cost[owner[column]] - above[owner[column]] - below[:width]
            shorter = (reduced < distance) & ~visited[:width]
            distance[shorter], before[shorter] = reduced[shorter], column
            nearest = int(np.where(visited[:width], np.inf, distance).argmin())
            step = distance[nearest]
            above[owner[visited]] += step
            below[visited] -= step
            distance[~visited[:width]] -= step
            column = nearest
        while column != width:
            owner[column], column = owner[before[column]], int(before[column])
    return [(int(owner[column]), column) for column in range(width) if owner[column] >= 0]
