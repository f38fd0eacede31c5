"""Finds the JSON in a text that should be JSON, and parses it by the first strategy that can.

In order: the text as it is; fenced code blocks; a text escaped as a whole; brackets amid prose; repaired syntax
(`repair`); missing outer braces; the `json_repair` library; lines of the form `键：值`. No strategy supplies a value
that is not in the text. This module knows no task and no schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

import json_repair

from extractor.data import Json
from extractor.stages.parsing.repair import repair
from extractor.text.strict_json import MAX_DEPTH, STRICT, ParsedJson, load

MAX_REPAIR = 200_000
"""Characters: longer texts are not answers of a model and do not go through `json_repair`."""

LOSSY = frozenset({"cut-off", "repair", "lines"})
"""Steps that may lose something: what was cut off, what `json_repair` cannot place, what is not on a known line."""


class Bracketed(NamedTuple):
    """An outermost bracketed part of a text; `closed` unless the text ends inside it."""

    start: int
    end: int
    closed: bool = True


def read_json(text: str, fields: Sequence[str] = ()) -> ParsedJson | None:
    """Return the JSON value that a text holds, or None. `fields` are the names that may head lines of `键：值`."""
    text = text.strip().lstrip("\ufeff")
    # From the surest to the vaguest. Prose goes before repair, which would take "如下[1]：{...}" for one broken object;
    # repair goes before braces and json_repair, because it names what it changed and drops nothing but a cut-off end.
    return (
        load(text)
        or _merge_parsed("fence", _fenced(text))
        or _merge_parsed("escaped", unescaped(text))
        or _from_prose(text)
        or repair(text)
        or _merge_parsed("braces", _without_braces(text))
        or _from_json_repair(text)
        or _from_lines(text, fields)
    )


def is_lossy(parsed: ParsedJson) -> bool:
    """Tell whether the value may hold less than the text, or than the model was about to write."""
    return not LOSSY.isdisjoint(parsed.steps)


def is_complete(parsed: ParsedJson | None, text: str) -> bool:
    """Tell whether a text that reached the token limit had finished its JSON: only prose after it was cut off."""
    return parsed is not None and not is_lossy(parsed) and all(part.closed for part in _bracketed(text))


def without_end(parsed: ParsedJson) -> ParsedJson | None:
    """Return what had been said to its end in an answer that was cut off: all but its last scalar; None for nothing."""
    left = _without_last(parsed.value)
    return ParsedJson(left, parsed.steps) if left else None


def _without_last(value: Json) -> Json:
    """Return a container without its last scalar, and without what is empty then; None for a scalar."""
    if not isinstance(value, dict | list) or not value:
        return None
    key = list(value)[-1] if isinstance(value, dict) else len(value) - 1
    last = _without_last(value[key])
    if isinstance(value, dict):
        return {**value, key: last} if last else {name: each for name, each in value.items() if name != key}
    return [*value[:-1], *([last] if last else [])]


def unescaped(text: str) -> Iterator[str]:
    """Yield the whole text with its quotes unescaped, if its first quote is escaped: `{\\"a\\": 1}`."""
    at = text.find('"')
    if at > 0 and text[at - 1] == "\\":
        yield re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _merge_parsed(step: str, texts: Iterable[str]) -> ParsedJson | None:
    """Return the object among several texts, the list of objects where there are several, else the first list."""
    parsed = filter(None, (load(text) or repair(text) for text in texts))
    distinct = {json.dumps(each.value): each for each in parsed}  # models repeat their answer
    containers = [each for each in distinct.values() if isinstance(each.value, dict | list)]
    objects = [each for each in containers if isinstance(each.value, dict)] or containers[:1]
    if len(objects) < 2:
        return objects[0].after(step) if objects else None
    steps = dict.fromkeys(each.steps for each in objects if each.steps != (STRICT,))
    return ParsedJson([each.value for each in objects], (step, *chain(*steps)))


_MEMBER = re.compile(r"""["”’'\w]\s*[:：]""")


def _from_prose(text: str) -> ParsedJson | None:
    """Return what the bracketed parts of a text hold; None where one with members cannot be read."""
    parts = list(_in_prose(text))
    if len(parts) > 1 and any(_MEMBER.search(part) and not (load(part) or repair(part)) for part in parts):
        return None
    return _merge_parsed("prose", parts)


_FENCE = re.compile(r"```[A-Za-z0-9]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


def _fenced(text: str) -> Iterator[str]:
    return (match[1].strip() for match in _FENCE.finditer(text))


def _in_prose(text: str) -> Iterator[str]:
    """Yield the bracketed parts of a text, unless what is between them looks like members of one broken object."""
    parts = list(_bracketed(text))
    if len(parts) == 1 and parts[0][:2] == (0, len(text)):
        return
    edges = [0, *(edge for part in parts for edge in (part.start, part.end)), len(text)]
    between = "\n".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    if not re.search(r'["”’\']\s*[:：]', between):
        yield from (text[part.start : part.end] for part in parts)


def _without_braces(text: str) -> Iterator[str]:
    """Yield the whole text in braces, if it begins with a key in quotes."""
    if re.match(r'["“][^"“”\n]{1,60}["”]\s*[:：]', text):
        yield "{" + text.rstrip("}") + "}"


_OUTSIDE = re.compile(r"[{\[｛［]")
_INSIDE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]｛｝［］]', re.DOTALL)


def _bracketed(text: str) -> Iterator[Bracketed]:
    """Yield the outermost bracketed parts, in time linear in the text.

    Quotes count inside brackets only: in prose they may mean inches. All kinds of brackets count alike: a mismatch is
    for `repair` to deal with.
    """
    start = position = depth = 0
    while match := (_INSIDE if depth else _OUTSIDE).search(text, position):
        position = match.end()
        if match[0] in "{[｛［":
            start = start if depth else match.start()
            depth += 1
        elif match[0] in "}]｝］":
            depth -= 1
            if not depth:
                yield Bracketed(start, position)
    if depth:
        yield Bracketed(start, len(text), closed=False)


def _from_json_repair(text: str) -> ParsedJson | None:
    """Return what `json_repair` makes of the text from its first bracket on: a guess, which may leave parts out.

    Only containers count, because it makes a string of anything. It recurses, so depth and length are bounded first;
    its result goes through `load` for the same limits as any other.
    """
    text = next(_fenced(text), text)
    begin = _OUTSIDE.search(text)
    if not begin or len(text) > MAX_REPAIR or _depth(text) > MAX_DEPTH:
        return None
    try:
        written = json.dumps(json_repair.loads(text[begin.start() :]))
    except (ValueError, RecursionError):
        return None
    parsed = load(written)
    return parsed.after("repair") if parsed and isinstance(parsed.value, dict | list) else None


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[{}\[\]]", text):
        depth = depth + 1 if bracket in "{[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _from_lines(text: str, fields: Sequence[str]) -> ParsedJson | None:
    """Parse lines of `键：值`, several on a line too, for known names; a name with several values gets a list."""
    names = "|".join(re.escape(name) for name in sorted(filter(None, fields), key=len, reverse=True))
    if not names:
        return None
    # The start of a line or clause, a bullet or number, the name in quotes or bold, a colon.
    key = re.compile(
        rf"""(?:^|[，,；;。|])[\s\-*•·]*+(?:\d+[.、)]\s*)?["'“「【*]*+({names})["'”」】*]*+\s*[：:=]""", re.IGNORECASE
    )
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        keys = list(key.finditer(line))
        for match, following in zip_longest(keys, keys[1:]):
            value = line[match.end() : following.start() if following else None]
            found.setdefault(match[1], {})[_trimmed(value)] = None
    values: dict[str, Json] = {name: [*each] if len(each) > 1 else next(iter(each)) for name, each in found.items()}
    return ParsedJson(values, ("lines",)) if values else None


def _trimmed(value: str) -> str:
    value = value.strip().strip("*").rstrip("，,；;。|").strip()
    return value.strip("\"'“”‘’「」").strip()
