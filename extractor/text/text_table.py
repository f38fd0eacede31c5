"""Cells in columns for a terminal, where Chinese characters are two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def columns(lines: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """Return a heading, a rule and rows, aligned; with `numbers`, all columns but the first are right-aligned."""
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    head, *rows = [_line(line, widths, numbers) for line in lines]
    return "\n".join([head, "  ".join("-" * wide for wide in widths), *rows])


def width(text: str) -> int:
    """Return the columns on a terminal: a wide (East Asian) character takes two, a combining one none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _line(cells: Sequence[str], widths: Sequence[int], numbers: bool) -> str:
    padding = [" " * (wide - width(cell)) for cell, wide in zip(cells, widths, strict=True)]
    flush = (False, *[numbers] * (len(cells) - 1))
    return "  ".join(
        pad + cell if right else cell + pad for cell, pad, right in zip(cells, padding, flush, strict=True)
    ).rstrip()
