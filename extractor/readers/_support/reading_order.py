"""The order in which people read what is on a page: line by line, and column by column where there are columns.

Knows boxes; knows neither text nor formats.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, from the top left corner of the page."""
Row: TypeAlias = list[int]
"""Indices of the boxes of a line, from left to right."""

COLUMN_ROWS = 5
"""Lines that stand side by side before they are columns of running text, and not a table."""
COLUMN_WIDTH = 10
"""Width of a column of running text, in heights of its lines: a label of a form is narrower."""
FILLED = 0.75
"""Of the width of a column, what half of its lines fill at least: the cells of a table leave more of it empty."""


def rows_of(boxes: Sequence[Box]) -> list[Row]:
    """Return the lines of a page in the order of reading."""
    return _by_columns(_by_height(boxes), boxes)


def _by_height(boxes: Sequence[Box]) -> list[Row]:
    """Return boxes whose middles are at one height as a line, from the top down."""
    rows: list[Row] = []
    for index in sorted(range(len(boxes)), key=lambda each: _middle(boxes[each])):
        box = boxes[index]
        last = boxes[rows[-1][0]] if rows else None
        if last and _middle(box) - _middle(last) < min(_height(box), _height(last)) / 2:
            rows[-1].append(index)
        else:
            rows.append([index])
    return [sorted(row, key=lambda each: boxes[each][0]) for row in rows]


def _by_columns(rows: list[Row], boxes: Sequence[Box]) -> list[Row]:
    """Return the lines with those of a left column before those of the column beside it."""
    ordered: list[Row] = []
    at = 0
    while at < len(rows):
        end, gutter = _side_by_side(rows[at:], boxes)
        if end:
            left, right = _split(rows[at : at + end], boxes, gutter)
            ordered += [*left, *_by_columns(right, boxes)]
        else:
            ordered.append(rows[at])
        at += end or 1
    return ordered


def _side_by_side(rows: list[Row], boxes: Sequence[Box]) -> tuple[int, float]:
    """Return how many of the first lines have a gutter through them that parts running text, and where it is."""
    for gap in _gaps(rows[0], boxes):
        left, right = gap
        end = 0
        for row in rows:
            open_gap = _open(row, boxes, (left, right))
            if open_gap is None:
                break
            (left, right), end = open_gap, end + 1
        gutter = (left + right) / 2
        if all(_is_running_text(side, boxes) for side in _split(rows[:end], boxes, gutter)):
            return end, gutter
    return 0, 0.0


def _gaps(row: Row, boxes: Sequence[Box]) -> list[tuple[float, float]]:
    pairs = itertools.pairwise(row)
    return [(boxes[one][2], boxes[next][0]) for one, next in pairs if boxes[one][2] < boxes[next][0]]


def _open(row: Row, boxes: Sequence[Box], gap: tuple[float, float]) -> tuple[float, float] | None:
    """Return the widest part of a gap that a line leaves open; None where it crosses all of it."""
    starts = [gap[0], *(boxes[index][2] for index in row)]
    ends = [*(boxes[index][0] for index in row), gap[1]]
    left, right = max(
        ((max(start, gap[0]), min(end, gap[1])) for start, end in zip(starts, ends, strict=True)), key=_width
    )
    return (left, right) if left < right else None


def _width(gap: tuple[float, float]) -> float:
    return gap[1] - gap[0]


def _split(rows: list[Row], boxes: Sequence[Box], gutter: float) -> tuple[list[Row], list[Row]]:
    """Return the lines on both sides of a gutter."""
    left = [[index for index in row if boxes[index][2] <= gutter] for row in rows]
    right = [[index for index in row if boxes[index][2] > gutter] for row in rows]
    return list(filter(None, left)), list(filter(None, right))


def _is_running_text(rows: list[Row], boxes: Sequence[Box]) -> bool:
    if len(rows) < COLUMN_ROWS:
        return False
    widths = [boxes[row[-1]][2] - boxes[row[0]][0] for row in rows]
    whole = max(boxes[row[-1]][2] for row in rows) - min(boxes[row[0]][0] for row in rows)
    height = median(_height(boxes[row[0]]) for row in rows)
    return median(widths) >= FILLED * whole and whole >= COLUMN_WIDTH * height


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _height(box: Box) -> float:
    return box[3] - box[1]
