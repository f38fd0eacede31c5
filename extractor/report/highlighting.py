"""Marked places in a text that is shown in part, or with pieces masked: offsets follow.

Offsets are code points until `Part.in_utf16`, which gives them as a browser counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from extractor.data import Json, Span

CONTEXTS = (2000, 800, 300, 120, 40)
"""Characters shown on either side of a mark where not all of a text is; the widest that fits is taken."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place of the value with this number, or of an `other` value that was given for its field."""

    start: int
    end: int
    value: int
    other: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text, `skipped` characters behind the one before, with the marks inside it, relative to it."""

    skipped: int
    text: str
    marks: tuple[Mark, ...] = ()

    def in_utf16(self) -> dict[str, Json]:
        """The piece as JSON; offsets count UTF-16 units, as strings of JavaScript do."""
        wide = [at for at, char in enumerate(self.text) if char > "\uffff"]

        def place(at: int) -> int:
            return at + bisect_right(wide, at - 1)

        marks = [[place(mark.start), place(mark.end), mark.value, *([1] if mark.other else [])] for mark in self.marks]
        return {"skipped": self.skipped, "text": self.text, "marks": marks}


def hide(text: str, ranges: Iterable[Span], mask: str, marks: Sequence[Mark]) -> tuple[str, tuple[Mark, ...]]:
    """The text with a mask for each range, and the marks where they are now."""
    hidden = united(ranges)
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

    moved = (replace(mark, start=place(mark.start, False), end=place(mark.end, True)) for mark in marks)
    return "".join(pieces), tuple(moved)


def excerpt(text: str, marks: Sequence[Mark], room: int) -> list[Part]:
    """About `room` characters of a text: its beginning, and what stands around the marks, as many of them as fit."""
    if len(text) <= room:
        return _parts(text, [(0, len(text))], marks)
    for context in CONTEXTS:
        windows = united([(0, context), *((mark.start - context, mark.end + context) for mark in marks)])
        if sum(min(end, len(text)) - max(start, 0) for start, end in windows) <= room:
            return _parts(text, windows, marks)
    kept, left = [(0, CONTEXTS[-1])], room
    for mark in sorted(marks, key=lambda mark: mark.start):
        left -= mark.end - mark.start + 2 * CONTEXTS[-1]
        if left < 0:
            break
        kept.append((mark.start - CONTEXTS[-1], mark.end + CONTEXTS[-1]))
    return _parts(text, united(kept), marks)


def united(ranges: Iterable[Span]) -> list[Span]:
    """The same characters as ranges that neither overlap nor touch, in order."""
    found: list[Span] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _parts(text: str, windows: Iterable[Span], marks: Sequence[Mark]) -> list[Part]:
    parts, done = [], 0
    for low, high in windows:
        start, end = max(low, 0), min(high, len(text))
        inside = tuple(
            replace(mark, start=mark.start - start, end=mark.end - start)
            for mark in marks
            if start <= mark.start and mark.end <= end
        )
        parts.append(Part(start - done, text[start:end], inside))
        done = end
    return [*parts, Part(len(text) - done, "")] if done < len(text) else parts
