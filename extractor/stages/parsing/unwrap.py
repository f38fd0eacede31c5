"""Finds the one object of an answer that wraps it, splits it, lists it as pairs or encodes it in a string.

It is recognised by the names of the fields: a wrapper is only removed if a field is inside. This module knows the names
and titles of the fields, and nothing of their schemas.
"""

from __future__ import annotations

from collections.abc import Sequence

from extractor.data import Json
from extractor.stages.parsing.extract_json import read_json
from extractor.task.coerce import fold
from extractor.text.strict_json import ParsedJson

_DEEPEST = 3
"""Wrappers inside wrappers that are removed: `[{"result": {"data": {...}}}]`."""


def unwrap(parsed: ParsedJson, names: Sequence[str]) -> ParsedJson:
    """Return the one object of an answer, or the value as it is where there is not exactly one.

    `[{...}]` and `{"result": {...}}` hold one object; `[{"手机号": ..}, {"邮箱": ..}]` are the members of one;
    `[{"keyword": "手机号", "content": ..}, ..]` are its pairs (the prompt of the book invites this).
    """
    if isinstance(parsed.value, str):
        inner = read_json(parsed.value, names)
        parsed = inner.after("encoded") if inner else parsed
    value = _object(parsed.value, {fold(name) for name in names})
    return parsed if value is parsed.value else parsed.then(value, "wrapped")


def _object(value: Json, known: set[str]) -> Json:
    """Remove wrappers; `known` are the folded names of the fields."""
    for _ in range(_DEEPEST):
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            only = value[0] if len(value) == 1 else None
            value = _from_pairs(value, known) or only or _joined(value)
        elif isinstance(value, dict) and len(value) == 1 and known.isdisjoint(map(fold, value)):
            (inner,) = value.values()
            if not _has_field(inner, known):
                break
            value = inner
        else:
            break
    return value


def _has_field(value: Json, known: set[str]) -> bool:
    """Tell whether the value is an object with a field, or a list with an object that has or names one."""
    if isinstance(value, list):
        return any(isinstance(item, dict) and (_has_field(item, known) or _from_pairs([item], known)) for item in value)
    return isinstance(value, dict) and not known.isdisjoint(map(fold, value))


def _from_pairs(items: Sequence[dict[str, Json]], known: set[str]) -> dict[str, Json] | None:
    """Make one object of `[{"keyword": name, "content": value}, ..]`, if all first values are different fields."""
    pairs = [tuple(item.values()) for item in items if len(item) == 2 and known.isdisjoint(map(fold, item))]
    names = [pair[0] for pair in pairs if isinstance(pair[0], str) and fold(pair[0]) in known]
    if len(names) < len(items) or len(set(names)) < len(names):
        return None
    return dict(zip(names, (pair[1] for pair in pairs), strict=True))


def _joined(items: Sequence[dict[str, Json]]) -> Json:
    """Join the objects to one if none contradicts another; else return the list, which is then rejected."""
    joined: dict[str, Json] = {}
    for item in items:
        for key, value in item.items():
            if joined.get(key) not in (None, value) and value is not None:
                return items
            joined[key] = joined[key] if joined.get(key) is not None else value
    return joined
