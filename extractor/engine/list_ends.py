"""Lists end: a model that writes the same item over and over is held to what the text has.

Grammars do not count, so an unbounded list of a model that loops goes on until its tokens run out. Here the items of
each list, and the keys of each map, are counted as they are written. Once an item occurs more often than in the text,
or there are more of them than the text has pieces, or a key comes twice, the list takes no further one and the answer
goes on behind it. The surplus item is dropped where values are grounded.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from extractor.task.schema_node import CompiledSchema, SchemaNode
from extractor.text.borders import pieces

UNGROUNDED = 16
"""How often an item may be listed whose occurrences cannot be counted: a value of an enumeration, an object."""

TokenRow = np.ndarray[tuple[int], np.dtype[np.uint32]]
"""A mask of tokens, one bit each."""

_NUMERAL = re.compile(r"\d+|[〇零一二两三四五六七八九十百千万亿廿]+")
_QUOTE, _BACKSLASH, _COMMA, _BRACKET = b'"\\,['
_SPACES = b" \n:"


@dataclass(frozen=True)
class Commas:
    """Which tokens go on behind an item: those with a comma, and those that close an object before it."""

    any: TokenRow
    behind_object: TokenRow

    @classmethod
    def of(cls, tokens: Sequence[bytes], size: int) -> Commas:
        """Look the tokens of a vocabulary through; `size` is the width of the masks in tokens."""
        return cls(_row(tokens, b",", size), _row(tokens, b"},", size))


def _row(tokens: Sequence[bytes], part: bytes, size: int) -> TokenRow:
    bits = np.zeros((size + 31) // 32 * 32, dtype=np.uint8)
    bits[[token for token, data in enumerate(tokens) if part in data]] = 1
    row: TokenRow = np.packbits(bits, bitorder="little").view(np.uint32)
    return row


@dataclass
class Places:
    """How often items may be listed in answers about one text. `exact` where all items are copied from it."""

    text: str
    exact: bool
    most: int
    """Items of one list; of numbers as many as the text has, in digits or in characters."""
    numbers: int
    _known: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: CompiledSchema, text: str) -> Places | None:
        """Return the places for a schema's lists; None for a schema without any that could go on for ever."""
        exact = _are_copied(schema)
        if exact is None:
            return None
        numbers = len(_NUMERAL.findall(text))
        return cls(text, exact, sum(1 for _ in pieces(text)), numbers if exact else max(numbers, UNGROUNDED))

    def total(self, item: bytes) -> int:
        """Return how many items the list may have that this one, as JSON, is in."""
        return self.numbers if item[:1] in b"-0123456789" else max(UNGROUNDED, self.most)

    def limit(self, item: bytes) -> int:
        """Return how often an item, as JSON, may be listed."""
        if item not in self._known:
            self._known[item] = self._count(item)
        return self._known[item]

    def _count(self, item: bytes) -> int:
        if self.exact and item[:1] in b"-0123456789":
            return self.numbers
        try:
            strings = list(_strings(json.loads(item)))
        except ValueError:  # not UTF-8: such a token is refused elsewhere
            strings = []
        count = min((max(1, self.text.count(each)) for each in strings if each), default=UNGROUNDED)
        return count if self.exact and item[:1] == b'"' else max(count, UNGROUNDED)


@lru_cache(maxsize=256)
def _are_copied(schema: CompiledSchema) -> bool | None:
    """Tell whether all that a schema's endless lists hold is copied from the text; None where it has no such lists."""
    lists = [node.name for node in schema.reachable(schema.root_name) if _endless(node)]
    if not lists:
        return None
    return all(
        each.ground == "verbatim" or (each.ground == "normalized" and set(each.kinds) <= {"integer", "number"})
        for each in schema.reachable(*lists)
        if not each.alternatives and not set(each.kinds) & {"array", "object"}
    )


def _endless(node: SchemaNode) -> bool:
    most = node.bounds.max_items
    return (
        "array" in node.kinds
        and (most is None or most > UNGROUNDED)
        or bool(node.pattern_properties or node.additional)
    )


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


@dataclass
class _Container:
    """An open list or object: the items of the list, or the keys of the object, so far."""

    is_list: bool
    item: int | None = None
    """Where the item or key that is being written starts in the answer."""
    between: bool = True
    """Whether the next thing written is an item or a key: not behind a key."""
    counts: MutableMapping[bytes, int] = field(default_factory=dict)
    total: int = 0
    ended: bool = False


class ListEnds:
    """Follows an answer, byte by byte, and tells which tokens would go on with a list that is to end."""

    def __init__(self, places: Places, commas: Commas) -> None:
        self._places, self._commas = places, commas
        self._answer = bytearray()
        self._open: list[_Container] = []
        self._in_string = self._escaped = False

    def copy(self) -> ListEnds:
        """Return another one in the same state, in a time that does not grow with the lists so far."""
        other = ListEnds(self._places, self._commas)
        other._answer = self._answer[:]
        other._open = [replace(each, counts=ChainMap({}, each.counts)) for each in self._open]
        other._in_string, other._escaped = self._in_string, self._escaped
        return other

    @property
    def forbidden(self) -> TokenRow | None:
        """The tokens that may not come now; None where all may."""
        if self._open and self._open[-1].ended:
            return self._commas.any
        if len(self._open) > 1 and self._open[-2].ended:
            return self._commas.behind_object
        return None

    def append(self, data: bytes) -> None:
        """Follow the answer through the bytes of a token."""
        for byte in data:
            self._answer.append(byte)
            if self._in_string:
                self._inside(byte)
            else:
                self._between(byte)

    def _inside(self, byte: int) -> None:
        if self._escaped:
            self._escaped = False
        elif byte == _BACKSLASH:
            self._escaped = True
        elif byte == _QUOTE:
            self._in_string = False
            self._finish(len(self._answer))

    def _between(self, byte: int) -> None:
        last = len(self._answer) - 1
        top = self._open[-1] if self._open else None
        if byte in b",]}":
            self._finish(last)  # a number or a word: nothing else says that it has ended
        if byte in b"]}" and top:
            self._open.pop()
            self._finish(last + 1)
        elif byte == _COMMA and top:
            top.between = True
        elif byte not in _SPACES:
            if top and top.between:
                top.item, top.between = last, False
            if byte in b"[{":
                self._open.append(_Container(byte == _BRACKET))
            self._in_string = byte == _QUOTE

    def _finish(self, end: int) -> None:
        """Count the item or key that ends here, if one has begun in the innermost container."""
        if not self._open or self._open[-1].item is None:
            return
        top = self._open[-1]
        item = bytes(self._answer[top.item : end])
        top.item = None
        top.total += 1
        count = top.counts[item] = top.counts.get(item, 0) + 1
        limit = self._places.limit(item) if top.is_list else 1
        top.ended = top.ended or count > limit or top.total > self._places.total(item)
