"""Variants of gold: values change places with those that the same fields have in other documents.

A model that sees few documents learns them by heart; where the values change, what stands around them is left to learn.
A value stays where its place is not known, or lies over that of another. This module knows neither prompts nor tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from extractor.annotation_formats import AnnotatedText
from extractor.data import Json, Span
from extractor.text.json_pointer import escape_pointer, scalars
from extractor.text.places import TextIndex

EXCHANGED = 0.5
"""The share of values that a variant exchanges."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as a text writes it, with all places where the text does so, and the pointers of the data that has it."""

    field: str
    written: str
    value: Json
    places: frozenset[Span]
    pointers: tuple[str, ...]


def variants(items: Sequence[AnnotatedText], seed: str) -> list[AnnotatedText]:
    """Return a variant of each document. The same seed gives the same ones."""
    placed = [_exchangeable(item) for item in items]
    known: dict[str, dict[str, Json]] = {}
    for each in (value for values in placed for value in values):
        known.setdefault(each.field, {}).setdefault(each.written, each.value)
    others = {field: list(values.items()) for field, values in known.items()}
    return [
        _variant(item, values, others, Random(f"{seed}/{number}"))
        for number, (item, values) in enumerate(zip(items, placed, strict=True))
    ]


def _exchangeable(item: AnnotatedText) -> list[_Value]:
    """Return the values that can be exchanged: each occurrence of them in the text is known to be one of the field."""
    text, index = item.text or "", TextIndex(item.text or "")
    found: dict[tuple[str, str], _Value] = {}
    for field, pointer, value in scalars(dict(item.data or {})):
        nothing = value in (None, "") or isinstance(value, bool)
        places = () if nothing else item.spans.get(pointer) or index.find_by_meaning(value)
        if places:
            written = text[slice(*places[0])]
            before = found.get((field, written), _Value(field, written, value, frozenset(), ()))
            found[field, written] = replace(
                before, places=before.places | set(places), pointers=(*before.pointers, pointer)
            )
    apart = _apart([place for each in found.values() for place in each.places])
    return [each for each in found.values() if each.places <= apart and _is_everywhere(each, text)]


def _is_everywhere(value: _Value, text: str) -> bool:
    same = all(text[start:end] == value.written for start, end in value.places)
    return same and text.count(value.written) == len(value.places)


def _apart(places: Sequence[Span]) -> set[Span]:
    """Return the places that lie over no other."""
    ordered = sorted(places)
    reached = accumulate((end for _, end in ordered), max, initial=0)
    following = [*(start for start, _ in ordered[1:]), math.inf]
    beside = zip(ordered, reached, following, strict=False)
    return {(start, end) for (start, end), before, after in beside if before <= start and end <= after}


def _variant(
    item: AnnotatedText, values: Sequence[_Value], others: Mapping[str, list[tuple[str, Json]]], rng: Random
) -> AnnotatedText:
    written: dict[Span, str] = {}
    changed: dict[str, Json] = {}
    for each in values:
        if rng.random() < EXCHANGED:
            new, value = rng.choice(others[each.field])
            written |= dict.fromkeys(each.places, new)
            changed |= dict.fromkeys(each.pointers, value)
    text = _rewritten(item.text or "", written)
    data = {name: _changed(value, changed, f"/{escape_pointer(name)}") for name, value in (item.data or {}).items()}
    return replace(item, text=text, data=data, spans={})


def _rewritten(text: str, written: Mapping[Span, str]) -> str:
    pieces, at = [], 0
    for (start, end), new in sorted(written.items()):
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _changed(value: Json, changed: Mapping[str, Json], pointer: str) -> Json:
    if isinstance(value, list):
        return [_changed(each, changed, f"{pointer}/{at}") for at, each in enumerate(value)]
    if isinstance(value, dict):
        return {name: _changed(each, changed, f"{pointer}/{escape_pointer(name)}") for name, each in value.items()}
    return changed.get(pointer, value)
