"""Strict JSON text: to a value that remembers how its numbers were written, and to the places of its values.

Stricter than `json`: no NaN, no infinity, no deep nesting. This module repairs nothing; `stages.parsing` does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from extractor.data import Json, Span
from extractor.task.json_pointer import escape_pointer

MAX_DEPTH = 100
"""Deeper nesting is garbage, and a danger to whatever recurses into the value."""


class Reading(NamedTuple):
    """A value and how it was read: `strict`, or what had to be forgiven or repaired, joined with `+`."""

    value: Json
    rung: str

    def under(self, prefix: str) -> Reading:
        """Return the same with something that was done before."""
        names = [name for name in (prefix, self.rung) if name and name != "strict"]
        return self._replace(rung="+".join(names) or "strict")


class WrittenInt(int):
    """An integer that remembers its spelling: taken as a string it must read as it was written."""

    written: str


class WrittenFloat(float):
    """A number that remembers its spelling."""

    written: str


def load(text: str) -> Reading | None:
    """Return the value of a strict JSON text, or None. Duplicate keys alone are forgiven, and named."""
    try:
        return Reading(_load(text, _unique), "strict")
    except _Duplicates:
        return Reading(_load(text, _first_of_each), "duplicate-keys")
    except (ValueError, RecursionError):
        return None


def plain(value: Json) -> Json:
    """Return the value with plain numbers, which do not remember how they were written."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, WrittenInt):
        return int(value)
    return float(value) if isinstance(value, WrittenFloat) else value


def value_ranges(text: str) -> dict[str, Span]:
    """Map the JSON Pointer of each scalar to its characters in a strict JSON text, quotes included.

    Empty where the text is not strict JSON.
    """
    if load(text) is None:
        return {}
    ranges: dict[str, Span] = {}
    path: list[str | int] = []  # for each open container the current key or index; "" before the first key
    key = False  # whether the next string is a key
    for match in _SCALAR_OR_MARK.finditer(text):
        mark = match[0]
        if mark in "{[":
            path.append("" if mark == "{" else 0)
            key = mark == "{"
        elif mark in "}]":
            path.pop()
        elif mark == ",":
            key = isinstance(path[-1], str)
            path[-1] = path[-1] if isinstance(path[-1], str) else path[-1] + 1
        elif key:
            path[-1], key = json.loads(mark, strict=False), False
        else:
            ranges["".join(f"/{escape_pointer(str(part))}" for part in path)] = match.span()
    return ranges


_SCALAR_OR_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],]|[^\s{}\[\],:"]+')


class _Duplicates(Exception):
    """An object has the same key twice."""


def _load(text: str, pairs: object) -> Json:
    value = json.loads(
        text,
        object_pairs_hook=pairs,  # type: ignore[arg-type]
        parse_int=_int,
        parse_float=_float,
        parse_constant=_refuse,
    )
    if not _is_shallow(value):
        raise RecursionError(f"The value is nested more than {MAX_DEPTH} levels deep.")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _Duplicates
    return result


def _first_of_each(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object with the first value that is not null of a key that is written twice."""
    result: dict[str, Json] = {}
    for key, value in pairs:
        if result.get(key) is None:
            result[key] = value
    return result


def _int(text: str) -> WrittenInt:
    value = WrittenInt(text)
    value.written = text
    return value


def _float(text: str) -> WrittenFloat:
    value = WrittenFloat(text)
    if not math.isfinite(value):
        raise ValueError("The number is too large.")
    value.written = text
    return value


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON.")


def _is_shallow(value: Json) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for parent in level if isinstance(parent, dict | list) for item in _children(parent)]
        if not level:
            return True
    return False


def _children(parent: Json) -> Iterable[Json]:
    return parent.values() if isinstance(parent, dict) else parent
