"""Values that are not to be relied on are taken out of an extraction and listed beside it, so that none is lost.

A member of an object becomes null, an item leaves its list, and an object in a list that says nothing else goes with
its value. Whether the whole may be without the value is not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    removal = _Removal(why)
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
    """Rebuilds data without the pointers of `why`.

    `moved` says where the values that stay are then, `reasons` why those of a list's item went that were not asked to.
    """

    why: Mapping[str, Code]
    moved: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Code] = field(default_factory=dict)

    def object_(self, value: Mapping[str, Json], old: str, new: str) -> dict[str, Json]:
        kept = {}
        for name, item in value.items():
            part = f"/{escape_pointer(name)}"
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
        """Leave out items that are withheld, and objects that say nothing any more."""
        kept: list[Json] = []
        for index, item in enumerate(items):
            known, here = len(self.moved), f"{old}/{index}"
            if here in self.why:
                continue
            left = self._value(item, here, f"{new}/{len(kept)}")
            if left == item or any(scalar.value is not None for scalar in scalars(left)):
                kept.append(left)
                continue
            while len(self.moved) > known:  # what was noted of this item
                self.moved.popitem()
            self.reasons[here] = next(code for pointer, code in self.why.items() if pointer.startswith(f"{here}/"))
        return kept


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
