"""The reading order of the runs of a page: rows from top to bottom, and columns that stand beside each other.

Side by side can be two columns, to be read one after the other, or the cells of rows. Columns are: running text, whose
lines fill their width, and lists in which each side says for itself what is what (`电话：138` beside `电话：139`).
All else is rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from extractor.readers._support.page_rows import (
    LABEL,
    MOST_CELLS,
    PAIR,
    Row,
    Run,
    cell_lines,
    height,
    rows_of,
    stand_beside,
)

GUTTER = 0.5
"""Heights of white at least between columns."""
DEPTH = 6
"""How deep columns are looked for within columns."""
MOST_GUTTERS = 32
"""How many gutters are followed at once, the newest; that bounds the cost of pages that are made to be costly."""
TABLE_ROWS = 3
"""Rows of several cells that make a table."""
PARAGRAPH_GAP = 1.5
"""Heights of white above or below from which lines on one side alone belong to the columns no more."""
TEXT_WIDTH, FULL_LINE, TEXT_LINES, TEXT_SHARE = 9.0, 0.85, 4, 0.5
"""Running text: lines of so many heights and such a share of the width; at least so many and such a share of all."""
ALIKE, UNEVEN, TEXT_ROWS = 0.8, 0.15, 10
"""Columns of one width: the narrower is such a share of the other. Lines that are not level: such a share of the rows
is on one side alone, and as many on the other, of so many rows at least."""
PAIR_SHARE, PAIR_LINES = 0.6, 2
"""A list of labels with their values: such a share of the lines, and so many at least."""


def in_reading_order(runs: Sequence[Run], depth: int = DEPTH) -> list[str]:
    """Return the lines of the text."""
    rows = rows_of(runs)
    lines: list[str] = []
    done = 0
    for gutter in _columns(rows) if depth else ():
        lines += cell_lines(rows[done : gutter.start])
        for side in gutter.sides(rows):
            lines += in_reading_order([run for row in side for run in row], depth - 1)
        done = gutter.end
    return lines + cell_lines(rows[done:])


@dataclass(frozen=True, slots=True)
class Gutter:
    """White from `left` to `right` through the rows from `start` to `end`."""

    left: float
    right: float
    start: int
    end: int

    def sides(self, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """Return what is left of it and what is right of it, rows without a cell there left out."""
        rows = rows[self.start : self.end]
        left = ([cell for cell in row if cell.left < self.left] for row in rows)
        right = ([cell for cell in row if cell.left >= self.left] for row in rows)
        return list(filter(None, left)), list(filter(None, right))

    def narrowed(self, row: Row, index: int) -> Gutter | None:
        """Return what of the gutter a further row leaves white; None where that is too little."""
        best = max(_white(row), key=lambda white: min(white[1], self.right) - max(white[0], self.left))
        left, right = max(best[0], self.left), min(best[1], self.right)
        return Gutter(left, right, self.start, index + 1) if right - left >= GUTTER * min(map(height, row)) else None

    def most_cells(self, row: Row) -> int:
        """Return how many cells of the row are on one side, where there are most."""
        left = sum(cell.left < self.left for cell in row)
        return max(left, len(row) - left)

    def is_between(self, above: Row, below: Row) -> bool:
        """Return whether it stands between rows that are level in part."""
        sides = {row[0].left < self.left for row in (above, below)}
        return len(sides) == 2 and self.spares(above) and self.spares(below) and stand_beside(above, below)

    def spares(self, row: Row) -> bool:
        """Return whether the row is on one side alone."""
        return row[-1].right <= self.left or row[0].left >= self.right

    def parts(self, row: Row) -> bool:
        """Return whether the row has cells on both sides."""
        return row[0].left < self.left <= row[-1].left


def _white(row: Row) -> list[tuple[float, float]]:
    """Return the white between the cells of a row and on both ends."""
    edges = [-inf, *(edge for cell in row for edge in (cell.left, cell.right)), inf]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _columns(rows: Sequence[Row]) -> list[Gutter]:
    """Return the gutters between columns, from top to bottom; of those that share rows the longest."""
    parts = (part for gutter in _gutters(rows) for part in _without_tables(gutter, rows))
    fitted = (fit for part in parts if (fit := _fitted(part, rows)) and _are_columns(fit, rows))
    chosen: list[Gutter] = []
    taken = bytearray(len(rows))
    for gutter in sorted(fitted, key=lambda gutter: gutter.start - gutter.end):
        if not any(taken[gutter.start : gutter.end]):
            taken[gutter.start : gutter.end] = b"\1" * (gutter.end - gutter.start)
            chosen.append(gutter)
    return sorted(chosen, key=lambda gutter: gutter.start)


def _gutters(rows: Sequence[Row]) -> Iterator[Gutter]:
    """Yield each white that goes through rows, as long as it is, from the first row that it parts."""
    current: list[Gutter] = []
    for index, row in enumerate(rows):
        follows = [gutter.narrowed(row, index) if len(row) <= MOST_CELLS else None for gutter in current]
        yield from (gutter for gutter, next in zip(current, follows, strict=True) if next is None)
        current = [gutter for gutter in follows if gutter]
        current += _new_gutters(rows, index, current)
        yield from current[:-MOST_GUTTERS]
        current = current[-MOST_GUTTERS:]
    yield from current


def _new_gutters(rows: Sequence[Row], index: int, current: Sequence[Gutter]) -> list[Gutter]:
    """Return the whites between the cells of a row, and of one that is level in part, that are no part of a gutter."""
    row, start = rows[index], index
    if index and stand_beside(rows[index - 1], row):
        row, start = sorted((*rows[index - 1], *row), key=lambda run: run.left), index - 1
    inner = _white(row)[1:-1] if len(row) <= MOST_CELLS else []
    new = [Gutter(left, right, start, index + 1) for left, right in inner]
    return [each for each in new if not any(each.left < other.right and other.left < each.right for other in current)]


def _without_tables(gutter: Gutter, rows: Sequence[Row]) -> Iterator[Gutter]:
    """Yield a gutter whole, and its parts between tables: rows of many cells, at least so many after each other."""
    yield gutter
    for most in (1, 2):
        busy = {index for index in range(gutter.start, gutter.end) if gutter.most_cells(rows[index]) > most}
        tables = [index for index in sorted(busy) if all(index + step in busy for step in range(TABLE_ROWS))]
        edges = [gutter.start - TABLE_ROWS, *tables, gutter.end]
        yield from (replace(gutter, start=a + TABLE_ROWS, end=b) for a, b in pairwise(edges) if b - a > TABLE_ROWS)


def _fitted(gutter: Gutter, rows: Sequence[Row]) -> Gutter | None:
    """Return the gutter from the first to the last row that it parts, with rows on one side alone that are close to
    those; None where it parts less than two."""
    parted = list(_parted(gutter, rows))
    if len(parted) < PAIR_LINES:
        return None
    start, end = parted[0][0], parted[-1][1]
    while start and gutter.spares(rows[start - 1]) and _are_close(rows[start - 1], rows[start]):
        start -= 1
    while end < gutter.end and _are_close(rows[end - 1], rows[end]):
        end += 1
    return replace(gutter, start=start, end=end)


def _parted(gutter: Gutter, rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield the rows with cells on both sides of a gutter, and pairs of rows on either side that are level in part."""
    for index in range(gutter.start, gutter.end):
        if gutter.parts(rows[index]):
            yield index, index + 1
        elif index > gutter.start and gutter.is_between(*rows[index - 1 : index + 1]):
            yield index - 1, index + 1


def _are_close(above: Row, below: Row) -> bool:
    white = min(cell.bottom for cell in above) - max(cell.top for cell in below)
    return white < PARAGRAPH_GAP * height(below[0])


def _are_columns(gutter: Gutter, rows: Sequence[Row]) -> bool:
    left, right = gutter.sides(rows)
    return _are_text(left, right, gutter.end - gutter.start) or _are_lists(left, right)


def _are_text(left: Sequence[Row], right: Sequence[Row], rows: int) -> bool:
    """Return whether both sides are running text. Of sides of one width it is enough that most of one and some of the
    other is, as beside pictures, or some of one where lines are not level with those of the other."""
    widths = sorted(map(_width, (left, right)))
    lines = sorted(map(_full_lines, (left, right)))
    shares = sorted(_full_lines(side) / len(side) for side in (left, right))
    alike = widths[0] >= ALIKE * widths[1]
    uneven = rows - max(len(left), len(right)) >= UNEVEN * rows
    return lines[1] >= TEXT_LINES and (
        (lines[0] >= TEXT_LINES and shares[0] >= TEXT_SHARE)
        or (alike and lines[0] >= TEXT_LINES and shares[1] >= TEXT_SHARE)
        or (alike and uneven and rows >= TEXT_ROWS)
    )


def _width(side: Sequence[Row]) -> float:
    return max(row[-1].right for row in side) - min(row[0].left for row in side)


def _full_lines(side: Sequence[Row]) -> int:
    """Return how many rows are lines of text that go from one end of the side to the other, or nearly so."""
    least = FULL_LINE * _width(side)
    return sum(sum(map(_length, row)) >= least and all(map(_is_long, row)) for row in side)


def _length(run: Run) -> float:
    return run.right - run.left


def _is_long(run: Run) -> bool:
    return _length(run) >= TEXT_WIDTH * height(run)


def _are_lists(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """Return whether both sides are lists of labels with their values, of two things of a kind: `电话：138` here and
    `电话：139` there. A label without its value, or twice on a side, is a row's."""
    labels = [_labels(side) for side in (left, right)]
    if any(LABEL.search(row[-1].text) for row in left) or any(len(set(side)) < len(side) for side in labels):
        return False
    shared = len(set(labels[0]) & set(labels[1]))
    enough = all(len(found) >= PAIR_SHARE * len(side) for found, side in zip(labels, (left, right), strict=True))
    return enough and bool(shared) and min(map(len, labels)) >= PAIR_LINES and 2 * shared >= min(map(len, labels))


def _labels(side: Sequence[Row]) -> list[str]:
    matches = (PAIR.match(" ".join(cell.text for cell in row)) for row in side)
    return [match[1].strip() for match in matches if match]
