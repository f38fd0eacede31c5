"""Strict JSON text: parsed to values that remember how their numbers were written, and to the ranges of its scalars.

Stricter than `json`: no NaN, no infinity, no deep nesting. This module repairs nothing; `stages.parsing.repair` does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from extractor.data import Json, Span
from extractor.text.json_pointer import escape_pointer

MAX_DEPTH = 100
"""Deeper nesting is garbage, and overflows the stack of whatever walks the value."""

STRICT = "strict"
"""The only step of a text that is strict JSON as it is."""


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """A value and the steps that led to it, in order: `strict` alone, or what had to be tolerated or repaired."""

    value: Json
    steps: tuple[str, ...] = (STRICT,)

    def after(self, *earlier: str) -> ParsedJson:
        """Return the value with the steps that came before it was parsed; `strict` is dropped beside others."""
        own = () if self.steps == (STRICT,) else self.steps
        return ParsedJson(self.value, (*earlier, *own) or (STRICT,))

    def then(self, value: Json, *later: str) -> ParsedJson:
        """Return what later steps made of the value."""
        return ParsedJson(value, (*self.steps, *later))


class WrittenInt(int):
    """An integer that remembers its digits, for a field of the schema that is a string."""

    written: str


class WrittenFloat(float):
    """A float that remembers its digits: as a string, `12.50` stays `12.50`."""

    written: str


def load(text: str) -> ParsedJson | None:
    """Parse strict JSON; return None for anything else. Duplicate keys alone are tolerated, and named as a step."""
    steps: dict[str, None] = {}

    def members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        unique = dict(pairs)
        if len(unique) == len(pairs):
            return unique
        steps["duplicate-keys"] = None
        return _first_of_each(pairs)

    try:
        value = _load(text, members)
    except (ValueError, RecursionError):
        return None
    return ParsedJson(value, tuple(steps) or (STRICT,))


def plain(value: Json) -> Json:
    """Return the value with ordinary ints and floats in place of those that remember their digits."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, WrittenInt):
        return int(value)
    return float(value) if isinstance(value, WrittenFloat) else value


def value_ranges(text: str) -> dict[str, Span]:
    """Return the characters of each scalar in a strict JSON text, quotes included, by JSON Pointer; else nothing."""
    if load(text) is None:
        return {}
    # The text is known to be valid, so brackets, commas and scalars are enough to tell where in the value a token is.
    # `path` holds, for each open container, the current key (str, of an object) or index (int, of an array).
    ranges: dict[str, Span] = {}
    path: list[str | int] = []
    expects_key = False
    for match in _SCALAR_OR_MARK.finditer(text):
        token = match[0]
        if token in "{[":
            path.append("" if token == "{" else 0)
            expects_key = token == "{"
        elif token in "}]":
            path.pop()
        elif token == ",":
            expects_key = isinstance(path[-1], str)
            path[-1] = path[-1] if isinstance(path[-1], str) else path[-1] + 1
        elif expects_key:
            path[-1], expects_key = json.loads(token, strict=False), False
        else:
            ranges["".join(f"/{escape_pointer(str(part))}" for part in path)] = match.span()
    return ranges


_SCALAR_OR_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],]|[^\s{}\[\],:"]+')


def _load(text: str, members: Callable[[list[tuple[str, Json]]], dict[str, Json]]) -> Json:
    value = json.loads(
        text,
        object_pairs_hook=members,
        parse_int=_int,
        parse_float=_float,
        parse_constant=_refuse,
    )
    if not _is_shallow(value):
        raise RecursionError(f"The value is nested more than {MAX_DEPTH} levels deep.")
    return value


def _first_of_each(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Keep, of a key that is written twice, the first value that is not null."""
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
    """Check the depth level by level, not by recursion, which the depth could overflow."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for parent in level if isinstance(parent, dict | list) for item in _children(parent)]
        if not level:
            return True
    return False


def _children(parent: Json) -> Iterable[Json]:
    return parent.values() if isinstance(parent, dict) else parent
