"""Text that should be JSON becomes a value: strictly if possible, else by the first rung of a ladder that reads it.

First where the JSON stands (code blocks, prose around it), then how it is spelled (`spelling`), then `json_repair`,
then lines of the form `键：值`. No rung supplies a value. This module knows no task and no schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import json_repair

from extractor.data import Json
from extractor.stages.parsing.repair import json_word, repaired
from extractor.text.strict_json import MAX_DEPTH, Reading, load

MAX_REPAIR = 200_000
"""Longer texts are no answers of a model; they do not go through `json_repair`."""

LOSSY = frozenset({"cut-off", "repair", "lines", "bare"})
"""Rungs that may read less than the model was about to write."""


class Part(NamedTuple):
    """A part of a text in brackets; `closed` unless the text ends inside it."""

    start: int
    end: int
    closed: bool = True


def read_json(text: str, fields: Sequence[str] = ()) -> Reading | None:
    """The JSON value that a text holds, or None. `fields` are names that may head lines of the form `键：值`."""
    text = text.strip().lstrip("\ufeff")
    return (
        load(text)
        or _united("fence", _fences(text))
        or _united("escaped", _escaped(text))
        or _united("prose", _in_prose(text))
        or repaired(text)
        or _united("braces", _braced(text))
        or _guessed(text)
        or _lines(text, fields)
    )


def read_bare(text: str) -> Reading | None:
    """A text without any JSON in it, taken for a literal, a number or a string as it stands."""
    text = text.strip()
    called = re.fullmatch(r"\w+\((.*)\)\s*;?", text, re.DOTALL)
    if called:
        return read_json(called[1]) or read_bare(called[1])
    if text.startswith('\\"'):
        unescaped = load(next(_escaped(text)))
        return unescaped.under("escaped") if unescaped else None
    if text.startswith('"') and text.count('"') == 1:
        ended = load(text + '"')
        return ended.under("cut-off") if ended else None
    if not text or re.search(r'["{}\[\]]', text):
        return None
    literal = load(json_word(text))
    return Reading(literal.value if literal else text, "bare")


def is_unclosed(text: str) -> bool:
    """Whether the text ends inside a bracket: the sign of an answer that was cut off."""
    return any(not part.closed for part in _parts(text))


def _read(text: str) -> Reading | None:
    return load(text) or repaired(text)


def _united(how: str, texts: Iterable[str]) -> Reading | None:
    """Of several texts the one that holds an object; a list of the objects where several do."""
    found = {json.dumps(reading.value): reading for reading in map(_read, texts) if reading}
    containers = [reading for reading in found.values() if isinstance(reading.value, dict | list)]
    best = [reading for reading in containers if isinstance(reading.value, dict)] or containers[:1]
    if len(best) < 2:
        return best[0].under(how) if best else None
    rungs = dict.fromkeys(reading.rung for reading in best if reading.rung != "strict")
    return Reading([reading.value for reading in best], "+".join(rungs) or "strict").under(how)


_FENCE = re.compile(r"```[A-Za-z0-9]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


def _fences(text: str) -> Iterator[str]:
    return (match[1].strip() for match in _FENCE.finditer(text))


def _escaped(text: str) -> Iterator[str]:
    """The whole text with its quotes unescaped, if its first quote is escaped."""
    at = text.find('"')
    if at > 0 and text[at - 1] == "\\":
        yield re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _in_prose(text: str) -> Iterator[str]:
    """The bracketed parts of a text, if nothing between them looks like the members of a broken object."""
    parts = list(_parts(text))
    if len(parts) == 1 and parts[0][:2] == (0, len(text)):
        return
    edges = [0, *(edge for part in parts for edge in (part.start, part.end)), len(text)]
    between = "\n".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    if not re.search(r'["”’\']\s*[:：]', between):
        yield from (text[part.start : part.end] for part in parts)


def _braced(text: str) -> Iterator[str]:
    """The whole text in braces, if it begins with a key in quotes."""
    if re.match(r'["“][^"“”\n]{1,60}["”]\s*[:：]', text):
        yield "{" + text.rstrip("}") + "}"


_OUTSIDE = re.compile(r"[{\[｛［]")
_INSIDE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]｛｝［］]', re.DOTALL)


def _parts(text: str) -> Iterator[Part]:
    """The outermost bracketed parts. Quotes count inside brackets only: in prose they may stand for inches."""
    start = position = depth = 0
    while match := (_INSIDE if depth else _OUTSIDE).search(text, position):
        position = match.end()
        if match[0] in "{[｛［":
            start = start if depth else match.start()
            depth += 1
        elif match[0] in "}]｝］":
            depth -= 1
            if not depth:
                yield Part(start, position)
    if depth:
        yield Part(start, len(text), closed=False)


def _guessed(text: str) -> Reading | None:
    """What `json_repair` makes of the text from its first bracket on. It makes strings of anything: containers only."""
    text = next(_fences(text), text)
    begin = _OUTSIDE.search(text)
    if not begin or len(text) > MAX_REPAIR or _depth(text) > MAX_DEPTH:
        return None
    try:
        written = json.dumps(json_repair.loads(text[begin.start() :]))
    except (ValueError, RecursionError):
        return None
    reading = load(written)
    return reading.under("repair") if reading and isinstance(reading.value, dict | list) else None


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[{}\[\]]", text):
        depth = depth + 1 if bracket in "{[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _lines(text: str, fields: Sequence[str]) -> Reading | None:
    """`键：值` lines, several on a line too, for known names; a name with several values gets a list."""
    names = "|".join(re.escape(name) for name in sorted(filter(None, fields), key=len, reverse=True))
    if not names:
        return None
    head = re.compile(
        rf"""(?:^|[，,；;。|])[\s\-*•·]*+(?:\d+[.、)]\s*)?["'“「【*]*+({names})["'”」】*]*+\s*[：:=]""", re.IGNORECASE
    )
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        heads = list(head.finditer(line))
        for match, following in zip_longest(heads, heads[1:]):
            value = line[match.end() : following.start() if following else None]
            found.setdefault(match[1], {})[_trimmed(value)] = None
    values: dict[str, Json] = {name: [*each] if len(each) > 1 else next(iter(each)) for name, each in found.items()}
    return Reading(values, "lines") if values else None


def _trimmed(value: str) -> str:
    value = value.strip().strip("*").rstrip("，,；;。|").strip()
    return value.strip("\"'“”‘’「」").strip()
