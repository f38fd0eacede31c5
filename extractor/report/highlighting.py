"""Highlights in a text that is shown in part, or with pieces masked: offsets are moved along.

Offsets count code points until `Excerpt.in_utf16`, which converts them to what a browser counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from extractor.data import Json, Span
from extractor.text.utf16 import Utf16Offsets

CONTEXTS = (2000, 800, 300, 120, 40)
"""Characters shown on either side of a highlight where not all of a text is; the widest that fits is taken."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """Where the value of this number occurs, or an `other` value that was given for its field."""

    start: int
    end: int
    value: int
    other: bool = False


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a text, `skipped` characters after the one before, with the highlights in it, relative to it."""

    skipped: int
    text: str
    highlights: tuple[Highlight, ...] = ()

    def in_utf16(self) -> dict[str, Json]:
        """Return the piece as JSON; offsets count UTF-16 units, like strings of JavaScript."""
        place = Utf16Offsets.of(self.text).encode
        highlights = [
            [place(each.start), place(each.end), each.value, *([1] if each.other else [])] for each in self.highlights
        ]
        return {"skipped": self.skipped, "text": self.text, "highlights": highlights}


def hide(
    text: str, ranges: Iterable[Span], mask: str, highlights: Sequence[Highlight]
) -> tuple[str, tuple[Highlight, ...]]:
    """Return the text with a mask for each range, and the highlights where they are now."""
    hidden = merge_spans(ranges)
    pieces, ends, shift = [], [0], [0]
    for start, end in hidden:
        pieces += [text[ends[-1] : start], mask]
        ends.append(end)
        shift.append(shift[-1] + len(mask) - (end - start))
    pieces.append(text[ends[-1] :])

    def place(at: int, is_end: bool) -> int:
        before = bisect_right([start for start, _ in hidden], at - is_end)
        inside = before and at < ends[before] + is_end
        if not inside:
            return at + shift[before]
        return ends[before] + shift[before] - (0 if is_end else len(mask))

    moved = (replace(each, start=place(each.start, False), end=place(each.end, True)) for each in highlights)
    return "".join(pieces), tuple(moved)


def excerpts(text: str, highlights: Sequence[Highlight], room: int) -> list[Excerpt]:
    """Return about `room` characters of a text: its beginning, and what surrounds as many highlights as fit."""
    if len(text) <= room:
        return _excerpts(text, [(0, len(text))], highlights)
    for context in CONTEXTS:
        windows = merge_spans([(0, context), *((each.start - context, each.end + context) for each in highlights)])
        if sum(min(end, len(text)) - max(start, 0) for start, end in windows) <= room:
            return _excerpts(text, windows, highlights)
    kept, left = [(0, CONTEXTS[-1])], room
    for highlight in sorted(highlights, key=lambda each: each.start):
        left -= highlight.end - highlight.start + 2 * CONTEXTS[-1]
        if left < 0:
            break
        kept.append((highlight.start - CONTEXTS[-1], highlight.end + CONTEXTS[-1]))
    return _excerpts(text, merge_spans(kept), highlights)


def merge_spans(ranges: Iterable[Span]) -> list[Span]:
    """Return the same characters as spans that neither overlap nor touch, in order."""
    found: list[Span] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _excerpts(text: str, windows: Iterable[Span], highlights: Sequence[Highlight]) -> list[Excerpt]:
    found, done = [], 0
    for low, high in windows:
        start, end = max(low, 0), min(high, len(text))
        inside = tuple(
            replace(each, start=each.start - start, end=each.end - start)
            for each in highlights
            if start <= each.start and each.end <= end
        )
        found.append(Excerpt(start - done, text[start:end], inside))
        done = end
    return [*found, Excerpt(len(text) - done, "")] if done < len(text) else found
