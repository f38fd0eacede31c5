"""Texts as tokens, and tokens as texts, for formats that hold no others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from extractor.data import Span

_CLOSE = (
    r"\u2e80-\u303f\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
    r"\U00020000-\U0003ffff‘’“”…—"
)
"""Characters of scripts that are written without spaces."""

_UNSPACED = re.compile(f"[{_CLOSE}]")
_TOKEN = re.compile(rf"[{_CLOSE}]|[^\W_{_CLOSE}]+(?:[.,:'’_-][^\W_{_CLOSE}]+)*|\S")


@dataclass(frozen=True, slots=True)
class Joined:
    """A text that was put together, and where in it each token begins."""

    text: str
    starts: tuple[int, ...]


def are_characters(words: Collection[str]) -> bool:
    """Tell whether tokens are single characters, digits and Latin letters too, of a text in a script without spaces."""
    return all(len(word) == 1 for word in words) and any(map(_UNSPACED.match, words))


def joined(words: Sequence[str], *, spaces: bool = True) -> Joined:
    """Put tokens together: with a space between two, and none beside a character that is written without."""
    pieces: list[str] = []
    starts: list[int] = []
    length = 0
    for before, word in zip(["", *words], words, strict=False):
        if spaces and before and not _UNSPACED.match(before[-1]) and not _UNSPACED.match(word[0]):
            pieces.append(" ")
            length += 1
        starts.append(length)
        pieces.append(word)
        length += len(word)
    return Joined("".join(pieces), tuple(starts))


def tokens(text: str, borders: Collection[int] = ()) -> Iterator[Span]:
    """Yield the words, numbers and signs of a text, cut at borders as well; a Chinese character is a token."""
    cuts = sorted(borders)
    at = 0
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        while at < len(cuts) and cuts[at] <= start:
            at += 1
        while at < len(cuts) and cuts[at] < end:
            yield start, cuts[at]
            start = cuts[at]
            at += 1
        yield start, end
