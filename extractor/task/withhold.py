"""Values that are not to be relied on are taken out of an extraction and listed beside it, so that none is lost.

A member of an object becomes null. An item leaves its list, and an entry its map (a member that the schema does not
name); so does an object in either that says nothing else. Whether the whole may be without the value is not judged
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from extractor.data import Extraction, Json, Span, Withheld
from extractor.errors import Code
from extractor.task.task import Task
from extractor.text.json_pointer import escape_pointer, scalars

T = TypeVar("T")


def withhold(extraction: Extraction, why: Mapping[str, Code]) -> Extraction:
    """Return the extraction without the values at some pointers; what is known of the others moves with them."""
    if not why:
        return extraction
    removal = Removal.of(extraction.completion.prompt.task, extraction.data, why)
    return replace(
        extraction,
        data=removal.data,
        spans=removal.move(extraction.spans),
        grounded=removal.move(extraction.grounded),
        confidence=removal.move(extraction.confidence),
        withheld=(*extraction.withheld, *removal.listed(extraction.spans, extraction.confidence)),
    )


@dataclass(frozen=True)
class Removal:
    """`data` is `before` without the pointers of `why`. `entries` are the pointers of the members that maps have.

    `moved` says where the values that stay are then, `reasons` why those of an item or entry went that were not asked
    to.
    """

    before: Mapping[str, Json]
    why: Mapping[str, Code]
    entries: Set[str]
    data: dict[str, Json] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Code] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, data: Mapping[str, Json], why: Mapping[str, Code]) -> Removal:
        """Take the values at some pointers out of data."""
        removal = cls(data, why, task.entries(data))
        removal.data.update(removal._object(data, "", ""))
        return removal

    def move(self, known: Mapping[str, T]) -> dict[str, T]:
        """Return what is known of the values that stay, by where they are now."""
        return {self.moved[pointer]: what for pointer, what in known.items() if pointer in self.moved}

    def listed(self, spans: Mapping[str, Iterable[Span]], confidence: Mapping[str, float]) -> list[Withheld]:
        """Return the values that went, and why."""
        found = []
        for scalar in scalars(self.before):
            if scalar.value is None or scalar.pointer in self.moved:
                continue
            items = (reason for item, reason in self.reasons.items() if scalar.pointer.startswith(f"{item}/"))
            reason = self.why[scalar.pointer] if scalar.pointer in self.why else next(items)
            places = tuple(spans.get(scalar.pointer, ()))
            found.append(Withheld(scalar.field, scalar.value, reason, confidence.get(scalar.pointer), places))
        return found

    def _object(self, value: Mapping[str, Json], old: str, new: str) -> dict[str, Json]:
        kept: dict[str, Json] = {}
        for name, item in value.items():
            part = f"/{escape_pointer(name)}"
            if old + part in self.entries:
                kept.update((name, left) for left in self._left(item, old + part, new + part))
            else:
                kept[name] = None if old + part in self.why else self._value(item, old + part, new + part)
        return kept

    def _value(self, value: Json, old: str, new: str) -> Json:
        if isinstance(value, Mapping):
            return self._object(value, old, new)
        if isinstance(value, list):
            return self._list(value, old, new)
        self.moved[old] = new
        return value

    def _list(self, items: list[Json], old: str, new: str) -> list[Json]:
        kept: list[Json] = []
        for index, item in enumerate(items):
            kept.extend(self._left(item, f"{old}/{index}", f"{new}/{len(kept)}"))
        return kept

    def _left(self, item: Json, old: str, new: str) -> list[Json]:
        """Return what is left of an item or entry, in a list; nothing where it is withheld or says nothing any more."""
        known = len(self.moved)
        if old in self.why:
            return []
        left = self._value(item, old, new)
        if left == item or any(scalar.value is not None for scalar in scalars(left)):
            return [left]
        while len(self.moved) > known:  # what was noted of it
            self.moved.popitem()
        self.reasons[old] = next(code for pointer, code in self.why.items() if pointer.startswith(f"{old}/"))
        return []
