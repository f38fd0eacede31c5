"""What several answers say of one place: which of their values stand, and which only repeat one that does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from extractor.stages.merging.values import Thing, Value


def standing(values: Sequence[Value]) -> list[Thing]:
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


def _rank(value: Value) -> tuple[int, int, int]:
    return value.pass_number, -len(value.places), -value.size


def _key(value: Value) -> str:
    return repr(sorted(value.places.items()))


_CELL = 64


@dataclass(frozen=True)
class _Board:
    """The values taken so far, with the numbers of their order, and which of them touch each stretch of the text.

    `said` is all that was said: by which answer, what, and where.
    """

    said: set[tuple[int, str, str]]
    things: list[tuple[int, Thing]] = field(default_factory=list)
    cells: dict[int, dict[int, None]] = field(default_factory=dict)

    def add(self, number: int, value: Value) -> None:
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

    def _near(self, value: Value) -> Iterator[int]:
        return chain.from_iterable(self.cells.get(cell, ()) for cell in _cells(value))

    def _is_beaten(self, value: Value, thing: Thing) -> bool:
        best = thing[0]
        if any(each.extraction is value.extraction for each in thing):
            return False
        if (id(best.extraction), value.identity, _key(value)) in self.said:
            return False
        return _is_within(value, best) or _is_within(best, value)


def _cells(value: Value) -> Iterator[int]:
    for spans in value.places.values():
        for start, end in spans:
            yield from range(start // _CELL, end // _CELL + 1)


def _is_repeated(value: Value, other: Value) -> bool:
    return value.identity == other.identity and value.places == other.places


def _is_said_again(value: Value, thing: Thing) -> bool:
    """Whether another answer says the same of a place that the two share."""
    best = thing[0]
    if value.identity != best.identity or any(each.extraction is value.extraction for each in thing):
        return False
    return any(set(spans) & set(best.places.get(relative, ())) for relative, spans in value.places.items())


def _is_within(value: Value, other: Value) -> bool:
    """Whether all that a value stands for overlaps with what the other one does."""
    return all(
        any(start < high and low < end for low, high in other.places.get(relative, ()))
        for relative, spans in value.places.items()
        for start, end in spans
    )
