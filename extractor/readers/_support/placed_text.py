"""Text of which only the places are known, put into lines as a reader sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LINE = 0.5
"""How far two pieces of a line may be apart in height, in parts of the size of the smaller one."""
GAP, SAME = 0.3, 0.1
"""What is a space between two pieces, and what is the same piece drawn twice (bold, shadows), likewise."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text: where its base line begins, from the left and from the top, its width and its font's size."""

    left: float
    bottom: float
    width: float
    size: float
    text: str

    @property
    def right(self) -> float:
        return self.left + self.width


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line of text, and its box: left, top, right, bottom."""

    text: str
    box: tuple[float, float, float, float]


def lines(pieces: Sequence[Piece]) -> Iterator[PlacedLine]:
    """Yield lines from the top to the bottom, the pieces of each from left to right."""
    line: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.bottom, piece.left)):
        if line and piece.bottom - line[0].bottom > LINE * min(piece.size, line[0].size):
            yield _line(line)
            line = []
        line.append(piece)
    if line:
        yield _line(line)


def _line(pieces: list[Piece]) -> PlacedLine:
    pieces.sort(key=lambda piece: piece.left)
    words = [pieces[0].text]
    for before, piece in zip(pieces, pieces[1:], strict=False):
        if piece.text == before.text and abs(piece.left - before.left) < SAME * piece.size:
            continue
        is_apart = piece.left - before.right > GAP * min(piece.size, before.size)
        words.append(f" {piece.text}" if is_apart else piece.text)
    left, right = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    top, bottom = min(piece.bottom - piece.size for piece in pieces), max(piece.bottom for piece in pieces)
    return PlacedLine("".join(words), (left, top, right, bottom))
