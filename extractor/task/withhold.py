"""Values that are not to be relied on are taken out of an extraction and listed beside it, so that none is lost.

A member of an object becomes null. An item leaves its list, and an entry its map (a member that the schema does not
name); so does an object in either that says nothing else. Whether the whole may be without the value is not judged
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from extractor.data import Extraction, Json, Withheld
from extractor.errors import Code
from extractor.text.json_pointer import escape_pointer, scalars

T = TypeVar("T")


def withhold(extraction: Extraction, why: Mapping[str, Code]) -> Extraction:
    """Return the extraction without the values at some pointers; what is known of the others moves with them."""
    if not why:
        return extraction
    removal = _Removal(why, extraction.completion.prompt.task.entries(extraction.data))
    data = removal.object_(extraction.data, "", "")
    kept = removal.moved
    return replace(
        extraction,
        data=data,
        spans=_moved(extraction.spans, kept),
        grounded=_moved(extraction.grounded, kept),
        confidence=_moved(extraction.confidence, kept),
        withheld=(*extraction.withheld, *_listed(extraction, removal)),
    )


@dataclass(frozen=True)
class _Removal:
    """Rebuilds data without the pointers of `why`. `entries` are the pointers of the members that maps have.

    `moved` says where the values that stay are then, `reasons` why those of an item or entry went that were not asked
    to.
    """

    why: Mapping[str, Code]
    entries: Set[str]
    moved: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Code] = field(default_factory=dict)

    def object_(self, value: Mapping[str, Json], old: str, new: str) -> dict[str, Json]:
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
            return self.object_(value, old, new)
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


def _listed(extraction: Extraction, removal: _Removal) -> list[Withheld]:
    listed = []
    for scalar in scalars(extraction.data):
        if scalar.value is None or scalar.pointer in removal.moved:
            continue
        items = (reason for item, reason in removal.reasons.items() if scalar.pointer.startswith(f"{item}/"))
        reason = removal.why[scalar.pointer] if scalar.pointer in removal.why else next(items)
        spans = tuple(extraction.spans.get(scalar.pointer, ()))
        listed.append(Withheld(scalar.field, scalar.value, reason, extraction.confidence.get(scalar.pointer), spans))
    return listed


def _moved(known: Mapping[str, T], moved: Mapping[str, str]) -> dict[str, T]:
    return {moved[pointer]: what for pointer, what in known.items() if pointer in moved}
