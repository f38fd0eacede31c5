"""The characters of a page as arrays: their boxes, which way they run, and which of them are there twice.

Knows no file format and no lines. Cost: n log n in characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Codes = NDArray[np.uint32]
    Flags = NDArray[np.bool_]

Line = tuple[str, tuple[float, float, float, float]]
"""Text and its box: left, bottom, right, top."""

CELL_GAP, WORD_GAP = 0.8, 0.2
"""Heights between neighbours from which they are cells of their own, and words of their own."""
HEIGHT = 1.2
"""Height of a character's box, in sizes, at most."""
BOLD_SHIFT = 0.12
"""Heights by which copies of a character are shifted where they are drawn again to look bold."""
COPIES = 0.45
"""Share of a run from which characters that were drawn before are copies: every other one, or all of it."""
BACK = -0.3
"""Heights by which the next character of a line may be further back: kerning, and marks over a letter."""
SAME_LINE = 0.4
"""Share of the smaller height that neighbours on a line have in common."""
VERTICAL_SHARE = 0.5
"""A page of which more than this share is written from top to bottom is read by its columns, from the right."""
STACKED, STACKED_FURTHEST, STACKED_ON_PAGE = 0.7, 1.35, 2.0
"""Least and largest distance of the centres of characters that are written from top to bottom, in ems; and the largest
one where the whole page is so."""
SLANT = 10
"""Degrees by which a line may slant and still run along the page."""
SPACES = (0x09, 0x0A, 0x0D, 0x20, 0xA0, *range(0x2000, 0x200B), 0x3000)
MIX = 0x9E3779B97F4A7C15
"""An odd number without a pattern: 2**64 over the golden ratio."""
LIGATURES = tuple(b"fFsStT")
"""What may be twice, and alone, in one glyph."""
RIGHT_TO_LEFT = ((0x590, 0x8FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC))
WIDE = ((0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
"""What may be written from top to bottom: ideographs, kana, and their punctuation."""


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of a page: code units of UTF-16 (n), boxes (n, 4: left, bottom, right, top), angles (n, radians,
    clockwise), sizes of their fonts (n). White space among them may have boxes without an area."""

    codes: Codes
    boxes: Array
    angles: Array
    sizes: Array

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, which: Any) -> Characters:
        """Return the characters that an index or a mask selects."""
        return Characters(self.codes[which], self.boxes[which], self.angles[which], self.sizes[which])


def without_copies(characters: Characters) -> Characters:
    """Drop characters that were drawn again over themselves, to look bold.

    Two points that are near share a cell in at least one of four grids, each shifted by half a cell.
    """
    import numpy as np

    boxes, codes = characters.boxes, characters.codes
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    shift = BOLD_SHIFT * np.maximum(height, 1e-3)
    once = ~is_space(codes) & (width > 0) & ~_in_one_glyph(codes, boxes)
    scale = np.ceil(np.log2(2 * shift))
    copies = np.zeros(len(codes), dtype=bool)
    for offset in ((0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)):
        where = np.flatnonzero(once & ~copies)
        cells = np.floor(boxes[:, :2] / np.exp2(scale)[:, None] + offset)
        keys = _mixed(codes[where], scale[where], *cells[where].T)
        _, first, same = np.unique(keys, return_index=True, return_inverse=True)
        original = where[first][same]
        aside, above = abs(boxes[where, :2] - boxes[original, :2]).T
        near = (aside <= np.minimum(shift, width / 2.2)[where]) & (above <= shift[where]) & (where != original)
        copies[where[near & (codes[where] == codes[original])]] = True
    return characters.take(~(copies & _mostly(copies, characters)))


def _mostly(copies: Flags, characters: Characters) -> Flags:
    """Return which characters are in runs of which about half or more are copies; elsewhere those are by chance."""
    import numpy as np

    solid = ~is_space(characters.codes)
    run = np.cumsum(np.concatenate(([False], ~are_beside(characters.boxes[solid]))))
    shares = np.bincount(run, copies[solid]) / np.bincount(run)
    mostly = np.zeros(len(copies), dtype=bool)
    mostly[solid] = shares[run] >= COPIES
    return mostly


def _mixed(*parts: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a number for each row of parts, hardly ever the same for two that differ."""
    import numpy as np

    keys = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        keys = (keys ^ part.astype(np.int64).view(np.uint64)) * np.uint64(MIX)
        keys ^= keys >> np.uint64(29)
    return keys


def _in_one_glyph(codes: Codes, boxes: Array) -> Flags:
    """Return which characters share the box of a neighbour because they share its glyph, as the two f of a ligature."""
    import numpy as np

    same = np.concatenate(([False], (boxes[1:] == boxes[:-1]).all(axis=1)))
    starts = np.flatnonzero(~same)
    mixed = np.minimum.reduceat(codes, starts) != np.maximum.reduceat(codes, starts)
    return np.repeat(mixed, np.diff([*starts, len(codes)])) | (same & np.isin(codes, LIGATURES))


def combined(characters: Characters, lines: Sequence[Line]) -> Characters:
    """Return characters and, after them, those of lines, spread over the width of each line as far as it reaches."""
    import numpy as np

    if not lines:
        return characters
    typed = [(ord(character), *box) for line in lines for character, box in _spread(*line)]
    codes, boxes = np.array([each[0] for each in typed], np.uint32), np.array([each[1:] for each in typed])
    return Characters(
        np.concatenate((characters.codes, codes)),
        np.concatenate((characters.boxes, boxes.reshape(-1, 4))),
        np.concatenate((characters.angles, np.zeros(len(codes)))),
        np.concatenate((characters.sizes, boxes.reshape(-1, 4)[:, 3] - boxes.reshape(-1, 4)[:, 1])),
    )


def _spread(
    text: str, box: tuple[float, float, float, float]
) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    left, bottom, right, top = box
    step = min((right - left) / max(len(text), 1), top - bottom)
    for place, character in enumerate(text):
        yield character, (left + place * step, bottom, left + (place + 1) * step, top)


def directions(characters: Characters) -> Iterator[Characters]:
    """Yield the characters of each direction of writing, turned upright, those of the main direction first."""
    import numpy as np

    degrees = np.round(np.degrees(characters.angles)).astype(int) % 360
    quarter = np.round(degrees / 90).astype(int) * 90
    degrees = np.where(abs(degrees - quarter) <= SLANT, quarter, degrees) % 360
    found, first, counts = np.unique(degrees, return_index=True, return_counts=True)
    for index in np.lexsort((first, -counts)):
        part = _upright(characters.take(degrees == found[index]), math.radians(found[index]))
        yield _across(_facing(_of_line_height(part)))


def _of_line_height(characters: Characters) -> Characters:
    """Return characters with boxes about as high as their size: some fonts claim to be twice as high as any letter."""
    import numpy as np

    left, bottom, right, top = characters.boxes.T
    height = top - bottom
    wanted = np.clip(HEIGHT * characters.sizes, height / 2, height)
    middle = (top + bottom) / 2
    return replace(characters, boxes=np.column_stack((left, middle - wanted / 2, right, middle + wanted / 2)))


def _facing(characters: Characters) -> Characters:
    """Return characters so that the next one is on the right: with a negative font size the angle says the opposite."""
    import numpy as np

    left, _, right, _ = characters.boxes.T
    steps = np.diff(left + right)[~is_any(characters.codes, RIGHT_TO_LEFT)[1:]]
    if (steps < 0).sum() <= (steps > 0).sum():
        return characters
    return replace(characters, boxes=characters.boxes[:, (2, 1, 0, 3)] * (-1, 1, -1, 1))


def _across(characters: Characters) -> Characters:
    """Return characters that are written from top to bottom, in columns from the right, turned into lines."""
    import numpy as np

    solid = characters.take(~is_space(characters.codes))
    if len(solid) < 2 or stacked(solid, continued(solid), STACKED_ON_PAGE).mean() <= VERTICAL_SHARE:
        return characters
    left, bottom, right, top = characters.boxes.T
    return replace(characters, boxes=np.column_stack((-top, left, -bottom, right)))


def _upright(characters: Characters, angle: float) -> Characters:
    import numpy as np

    if not angle:
        return characters
    turn = np.round(np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]), 12)
    corners = np.stack([characters.boxes[:, pair] @ turn for pair in ([0, 1], [0, 3], [2, 1], [2, 3])])
    boxes = np.hstack((corners.min(axis=0), corners.max(axis=0)))
    return replace(characters, boxes=boxes)


def are_beside(boxes: Array, to_left: Flags | None = None) -> Flags:
    """Return for each box but the last whether the next one continues its line; if `to_left`, also to the left."""
    import numpy as np

    left, bottom, right, top = boxes.T
    height = np.minimum((top - bottom)[:-1], (top - bottom)[1:])
    common = np.minimum(top[:-1], top[1:]) - np.maximum(bottom[:-1], bottom[1:])
    onward = np.diff(left + right) / 2
    touching = (onward >= BACK * height) & (left[1:] - right[:-1] <= CELL_GAP * height)
    if to_left is not None:
        backward = (onward <= -BACK * height) & (left[:-1] - right[1:] <= CELL_GAP * height)
        touching |= (to_left[:-1] | to_left[1:]) & backward
    beside: Flags = touching & (common >= SAME_LINE * height) | (boxes[1:] == boxes[:-1]).all(axis=1)
    return beside


def continued(characters: Characters) -> Flags:
    """Return for each character but the last whether the next one continues its line, in the way of its script."""
    return are_beside(characters.boxes, is_any(characters.codes, RIGHT_TO_LEFT))


def stacked(characters: Characters, beside: Flags, furthest: float) -> Flags:
    """Return for each character but the last whether the next one is written under it, both alone on their lines."""
    import numpy as np

    left, bottom, right, top = characters.boxes.T
    em = np.minimum(right - left, top - bottom)[:-1]
    down = ((top + bottom)[:-1] - (top + bottom)[1:]) / 2
    aside = abs((left + right)[1:] - (left + right)[:-1]) / 2
    alone = ~(np.concatenate(([False], beside)) | np.concatenate((beside, [False])))
    upright = is_any(characters.codes, WIDE) & alone
    under = _within(down, STACKED * em, furthest * em) & (aside < em / 4)
    found: Flags = under & upright[:-1] & upright[1:]
    return found


def is_space(codes: Codes) -> Flags:
    """Return which of the codes are white space."""
    import numpy as np

    return np.isin(codes, SPACES)


def is_any(codes: Codes, ranges: tuple[tuple[int, int], ...]) -> Flags:
    """Return which of the codes are in one of the ranges, ends included."""
    import numpy as np

    found: Flags = np.logical_or.reduce([_within(codes, first, last) for first, last in ranges])
    return found


def _within(values: NDArray[Any], low: Any, high: Any) -> Flags:
    inside: Flags = (values >= low) & (values <= high)
    return inside
