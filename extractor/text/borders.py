"""Where a value copied from a text may begin and end: not inside a word of letters, nor inside a number.

A number goes with its separators (`1,200.50`, `1.200,50`, `1'200`, `192.168.0.1`); between a letter and a digit is a
border, so that `QQ730155826` holds `730155826`. Characters of Chinese and other scripts without spaces between words
are each a piece.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

from extractor.data import Span

_PIECE = regex.compile(
    r"""[\p{Latin}\p{Greek}\p{Cyrillic}][\p{Latin}\p{Greek}\p{Cyrillic}\p{Mn}]*+
    |   \p{Nd}{1,3}+(?:\.\p{Nd}{3})++,\p{Nd}{1,2}+(?![.\p{Nd}])
    |   \p{Nd}++(?:[,，'’\u202f](?=\p{Nd}{3}(?!\p{Nd}))\p{Nd}{3})*+(?:[.．]\p{Nd}++)*+
    |   [\s\S]""",
    regex.VERBOSE,
)


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that no value begins or ends inside of."""
    for match in _PIECE.finditer(text):
        yield match[0]


class Borders:
    """Tells whether a range of a text begins and ends at borders. Linear to make, constant to ask."""

    def __init__(self, text: str) -> None:
        self._inside = bytearray(len(text) + 1)  # 1 where a position is inside a piece
        position = 0
        for piece in pieces(text):
            if len(piece) > 1:
                self._inside[position + 1 : position + len(piece)] = b"\1" * (len(piece) - 1)
            position += len(piece)

    def fit(self, span: Span) -> bool:
        """Tell whether a range begins and ends at borders."""
        return not (self._inside[span[0]] or self._inside[span[1]])
