"""The runs of a page in rows from top to bottom, and the text of rows: cells with their lines.

Cells of a row are separated by tabs. Lines between whose baselines others stand, and lines that only a narrow cell has
broken, are the lines of one cell.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from extractor.readers._support.page_characters import CELL_GAP, WORD_GAP

TAB_GAP = 1.0
"""Heights between cells from which a tab says so."""
SAME_ROW = 0.5
"""Share of the smaller height that is common to runs of one row."""
INTERLOCKED = 0.25
"""Share of the smaller height from which rows stand beside each other rather than one under the other."""
MOST_CELLS = 40
"""Cells of a row from which it is looked at no further; that bounds the cost of pages that are made to be costly."""
LINE_WHITE = 0.6
"""Heights of white at most between two lines of a cell."""
PAIR = re.compile(r"([^:：]{1,20})[:：]\s*\S")
LABEL = re.compile(r"[:：]\s*$")
RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


@dataclass(frozen=True, slots=True)
class Run:
    """Text on one line, its box, and the places of its first and last part in the order of drawing."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    first: int
    last: int


Row = list[Run]
"""Cells of one line each, from left to right."""

Cell = list[Run]
"""The lines of a cell, from top to bottom."""


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Return the runs row by row, those that are neighbours in a row as one cell."""
    rows: list[list[Run]] = []
    lefts: list[float] = []
    core: Run | None = None
    for run in sorted(runs, key=lambda run: (-run.top - run.bottom, run.left, run.text)):
        place = bisect_left(lefts, run.left)
        if core and share(core, run) >= SAME_ROW and _is_free(rows[-1], place, run):
            rows[-1].insert(place, run)
            lefts.insert(place, run.left)
            core = max(core, run, key=height)
        else:
            rows.append([run])
            lefts = [run.left]
            core = run
    return [_cells(row) for row in rows]


def height(run: Run) -> float:
    return run.top - run.bottom


def share(one: Run, other: Run) -> float:
    """Return how much of the lower of two runs stands beside the other one."""
    common = min(one.top, other.top) - max(one.bottom, other.bottom)
    return common / max(min(height(one), height(other)), 1e-6)


def _is_free(row: Row, place: int, run: Run) -> bool:
    """Return whether a run fits into a row at the place, over at most half of a neighbour or of itself."""
    return not any(overlap(run, other) > 0.5 for other in row[max(place - 1, 0) : place + 1])


def overlap(one: Run, other: Run) -> float:
    """Return the share of the narrower of two runs that is over or under the other one."""
    common = min(one.right, other.right) - max(one.left, other.left)
    return common / max(min(one.right - one.left, other.right - other.left), 1e-6)


def _cells(row: Row) -> Row:
    groups = [[row[0]]]
    for run in row[1:]:
        before = groups[-1][-1]
        near = run.left - before.right < CELL_GAP * min(height(run), height(before))
        groups[-1].append(run) if near else groups.append([run])
    return [_joined(group) for group in groups]


def _joined(group: Row) -> Run:
    """Return neighbours as one run, their texts in the order of their script."""
    if len(group) == 1:
        return group[0]
    ordered = group[::-1] if _is_right_to_left(group) else group
    parts = [ordered[0].text]
    for before, run in pairwise(ordered):
        parts.append(run.text if _gap(before, run) < WORD_GAP * min(height(before), height(run)) else f" {run.text}")
    low = min(run.left for run in group), min(run.bottom for run in group)
    high = max(run.right for run in group), max(run.top for run in group)
    return Run("".join(parts), *low, *high, min(run.first for run in group), max(run.last for run in group))


def _gap(one: Run, other: Run) -> float:
    return max(one.left, other.left) - min(one.right, other.right)


def _is_right_to_left(row: Row) -> bool:
    text = "".join(run.text for run in row)
    return 2 * len(RIGHT_TO_LEFT.findall(text)) > len(text)


def cell_lines(rows: Sequence[Row]) -> list[str]:
    """Return the lines of rows of cells: a tab between cells, the lines of one cell under each other."""
    table: list[list[Cell]] = []
    for group in _interlocked(rows):
        if len(group) == 1 and table and _is_wrapped(group[0], table[-1]):
            _append(group[0], table[-1])
        else:
            table.append(_side_by_side(group))
    return [line for cells in table for line in _text(cells).split("\n")]


def _text(cells: list[Cell]) -> str:
    """Return cells separated by tabs, or by a space where they are hardly apart."""
    ordered = cells[::-1] if _is_right_to_left([run for cell in cells for run in cell]) else cells
    parts = ["\n".join(run.text for run in ordered[0])]
    for before, cell in pairwise(ordered):
        apart = _gap(before[-1], cell[0]) >= TAB_GAP * min(height(before[-1]), height(cell[0]))
        parts += ["\t" if apart else " ", "\n".join(run.text for run in cell)]
    return "".join(parts)


def _interlocked(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield rows, those together that stand beside and not over each other: cells with lines of their own."""
    group: list[Row] = []
    for row in rows:
        if group and not stand_beside(group[-1], row):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def stand_beside(above: Row, below: Row) -> bool:
    """Return whether rows are level in part, and no run is over another: they are as good as one row."""
    if len(above) + len(below) > MOST_CELLS:
        return False
    pairs = [(one, other) for one in above for other in below]
    return all(overlap(*pair) <= 0 for pair in pairs) and max(share(*pair) for pair in pairs) >= INTERLOCKED


def _side_by_side(rows: Sequence[Row]) -> list[Cell]:
    """Return the runs of rows as cells: those that are over each other are lines of one."""
    cells: list[Cell] = []
    right = -inf
    for run in sorted((run for row in rows for run in row), key=lambda run: run.left):
        if run.left >= right:
            cells.append([])
        cells[-1].append(run)
        right = max(right, run.right)
    return [sorted(cell, key=lambda run: -run.top - run.bottom) for cell in cells]


def _is_wrapped(row: Row, cells: list[Cell]) -> bool:
    """Return whether a row is none: all in it goes on with cells of the row above, some of which have ended."""
    return len(row) < len(cells) and all(any(_goes_on(run, cell[-1]) for cell in cells) for run in row)


def _goes_on(run: Run, above: Run) -> bool:
    """Return whether a run was drawn next after another one, right under it, and neither says that it is a label."""
    white = above.bottom - run.top
    return (
        run.first == above.last + 1
        and overlap(run, above) >= 0.5
        and white < LINE_WHITE * height(above)
        and not (LABEL.search(above.text) or LABEL.search(run.text) or PAIR.match(run.text))
    )


def _append(row: Row, cells: list[Cell]) -> None:
    for run in row:
        next(cell for cell in cells if _goes_on(run, cell[-1])).append(run)
