"""Values that are not to be relied on are taken out of an extraction and listed beside it, so that none is lost.

A member of an object becomes null, an item leaves its list. An object in a list that the schema does not accept
without the value, or that has no other, goes with it. Whether the whole may be without it is not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from extractor.data import Extraction, Json, Withheld
from extractor.errors import Code
from extractor.task.json_pointer import escape_pointer, scalars
from extractor.task.task import Schema, Task

T = TypeVar("T")


def withhold(extraction: Extraction, why: Mapping[str, Code]) -> Extraction:
    """The extraction without the values at some pointers; what is known of the others moves with them."""
    if not why:
        return extraction
    removal = _Removal(extraction.completion.prompt.task.whole, why)
    data = removal.object_(extraction.data, removal.task.schema, "", "")
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
    """Rebuilds data without the pointers of `why`. `moved` says where the values that stay are then, `reasons` why
    those of a list's item went that were not asked to."""

    task: Task
    why: Mapping[str, Code]
    moved: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Code] = field(default_factory=dict)

    def object_(self, value: Mapping[str, Json], schema: Schema, old: str, new: str) -> dict[str, Json]:
        properties: Mapping[str, Json] = schema.get("properties", {})
        kept = {}
        for name, item in value.items():
            part = f"/{escape_pointer(name)}"
            kept[name] = (
                None if old + part in self.why else self._value(item, properties.get(name), old + part, new + part)
            )
        return kept

    def _value(self, value: Json, schema: Json, old: str, new: str) -> Json:
        sub = self.task.branch(self.task.resolve(schema), value)
        if isinstance(value, Mapping):
            return self.object_(value, sub, old, new)
        if isinstance(value, list):
            return self._list(value, sub.get("items"), old, new)
        self.moved[old] = new
        return value

    def _list(self, items: list[Json], schema: Json, old: str, new: str) -> list[Json]:
        kept: list[Json] = []
        for index, item in enumerate(items):
            before, here = dict(self.moved), f"{old}/{index}"
            if here in self.why:
                continue
            left = self._value(item, schema, here, f"{new}/{len(kept)}")
            if left == item or self._may_stay(left, schema):
                kept.append(left)
                continue
            self.moved.clear()
            self.moved.update(before)
            self.reasons[here] = next(reason for pointer, reason in self.why.items() if pointer.startswith(f"{here}/"))
        return kept

    def _may_stay(self, item: Json, schema: Json) -> bool:
        says_something = any(scalar.value is not None for scalar in scalars(item))
        return says_something and self.task.accepts(self.task.resolve(schema), item)


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
