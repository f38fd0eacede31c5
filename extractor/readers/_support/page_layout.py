"""The text of a page from the boxes of its characters: runs, rows, columns. Knows no file format.

Characters come in the order in which they were drawn. That order counts inside a run alone (characters that touch);
where runs stand in the text is a matter of geometry, so a form whose labels were drawn first and whose values came
after reads as it looks. Cost: n log n in characters.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

from extractor.readers._support.page_characters import (
    STACKED_FURTHEST,
    WIDE,
    WORD_GAP,
    Characters,
    continued,
    directions,
    is_any,
    is_space,
    stacked,
    without_copies,
)
from extractor.readers._support.page_columns import in_reading_order
from extractor.readers._support.page_rows import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from extractor.readers._support.page_characters import Codes, Flags

LINE_HYPHEN = 0x02
"""The code of a hyphen at the end of a line, as pdfium gives it."""
CONTROL = re.compile(r"[\x00\x01\x03-\x08\x0b-\x1f\x7f-\x9f]")
SPLIT_WORD = re.compile(rf"(?<=[^\W\d_]){chr(LINE_HYPHEN)}\n(?=[a-zà-ÿ])")
LINE_END = re.compile(rf"{chr(LINE_HYPHEN)}\n?")


def page_text(characters: Characters) -> str:
    """Return the text as a reader sees it: lines, cells of a row separated by tabs, columns one after the other."""
    kept = characters.take(characters.codes != 0)
    if is_space(kept.codes).all():
        return ""
    lines = [line for part in directions(without_copies(kept)) for line in in_reading_order(_runs(part))]
    return _join_split_words(_whole("\n".join(lines)))


def _whole(text: str) -> str:
    """Return the text with surrogates paired, and U+FFFD for what is no character: numbers of glyphs, as it were."""
    return CONTROL.sub("\ufffd", text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _join_split_words(text: str) -> str:
    """Remove a hyphen that only a line's end has put into a word; any other one, as in a number, stays."""
    return LINE_END.sub("-", SPLIT_WORD.sub("", text + "\n")).removesuffix("\n")


def _runs(characters: Characters) -> list[Run]:
    """Return the runs: characters that touch, one after the other as drawn."""
    import numpy as np

    space = is_space(characters.codes)
    made_up = space & (characters.boxes[:, 2] - characters.boxes[:, 0] <= 0)  # by pdfium, for a gap or a line's end
    drawn = characters.take(~made_up)
    if not len(drawn):
        return []
    beside = continued(drawn)
    below = stacked(drawn, beside, STACKED_FURTHEST)
    starts = np.concatenate(([0], np.flatnonzero(~(beside | below)) + 1))
    words = _words(drawn, _made_up_before(characters.codes, np.flatnonzero(~made_up)))
    boxes = _extents(drawn, starts, below)
    ends = [*starts[1:].tolist(), len(drawn)]
    pieces = ("".join(words[start:end]).strip() for start, end in zip(starts.tolist(), ends, strict=True))
    found = zip(pieces, boxes, count(), strict=False)
    return [Run(text, left, bottom, right, top, at, at) for text, (left, bottom, right, top), at in found if text]


def _made_up_before(codes: Codes, drawn: NDArray[np.intp]) -> Codes:
    """Return the white space that was made up before each drawn character but the first, its last one; 0 for none."""
    import numpy as np

    return np.where(np.diff(drawn) > 1, codes[drawn[1:] - 1], 0)


def _words(characters: Characters, made_up: Codes) -> list[str]:
    """Return the character of each box, after a space where one belongs: drawn, made up, or for a gap at a line's end
    that turned out to be none."""
    import numpy as np

    left, bottom, right, top = characters.boxes.T
    wide = is_any(characters.codes, WIDE)
    gap = np.maximum(left[1:] - right[:-1], left[:-1] - right[1:]) > WORD_GAP * (top - bottom)[1:]
    apart = (made_up == ord(" ")) | ((made_up > 0) & gap & ~(wide[1:] & wide[:-1]))
    space = is_space(characters.codes)
    letters = [
        "" if blank else chr(code) for code, blank in zip(characters.codes.tolist(), space.tolist(), strict=True)
    ]
    before = np.concatenate(([False], apart | space[:-1])) & ~space
    for index in np.flatnonzero(before).tolist():
        letters[index] = f" {letters[index]}"
    return letters


def _extents(characters: Characters, starts: NDArray[np.intp], below: Flags) -> list[list[float]]:
    """Return the box of each run, without white space at its ends; what is written downwards takes one line's room."""
    import numpy as np

    boxes = characters.boxes.copy()
    boxes[is_space(characters.codes)] = (np.inf, np.inf, -np.inf, -np.inf)
    lower = np.flatnonzero(np.concatenate(([False], below)))
    boxes[lower, 1], boxes[lower, 3] = np.inf, -np.inf
    low = np.minimum.reduceat(boxes[:, :2], starts, axis=0)
    high = np.maximum.reduceat(boxes[:, 2:], starts, axis=0)
    extents: list[list[float]] = np.hstack((low, high)).tolist()
    return extents
