"""The characters of a PDF page, from pdfium, as arrays."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from math import hypot
from typing import TYPE_CHECKING

from extractor.readers._support.page_characters import Characters, are_beside, is_space
from extractor.readers._support.page_layout import LINE_HYPHEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pypdfium2 import PdfTextPage

LAST_CODE = 0x10FFFF
FAR = 1e6
"""Points from the origin at most; broken files place characters anywhere."""


def read_characters(page: PdfTextPage) -> Characters:
    """Return the characters of a page in the order of drawing, with the white space that pdfium puts between them."""
    import numpy as np
    import pypdfium2.raw as pdfium

    count = page.count_chars()
    rectangles = (pdfium.FS_RECTF * count)()
    deque(map(pdfium.FPDFText_GetLooseCharBox, repeat(page.raw), range(count), rectangles), maxlen=0)
    boxes = np.frombuffer(rectangles, dtype=np.float32).reshape(count, 4)[:, (0, 3, 2, 1)].astype(np.float64)
    boxes = np.clip(np.nan_to_num(boxes), -FAR, FAR)
    codes = np.fromiter(map(pdfium.FPDFText_GetUnicode, repeat(page.raw), range(count)), np.uint32, count)
    codes[codes > LAST_CODE] = ord("\ufffd")
    for index in np.flatnonzero(codes == LINE_HYPHEN).tolist():
        if pdfium.FPDFText_IsHyphen(page, index) != 1:
            codes[index] = ord("\ufffd")
    asked = ~is_space(codes)
    asked[1:] &= ~are_beside(boxes)
    angles, sizes = _angles_and_sizes(page, np.flatnonzero(asked).tolist())
    return Characters(codes, boxes, angles[np.cumsum(asked)], sizes[np.cumsum(asked)])


def _angles_and_sizes(page: PdfTextPage, first: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the angle and size of the first character of each line (those that continue it have the same), after those
    of white space that comes before all."""
    import numpy as np
    import pypdfium2.raw as pdfium

    matrix = pdfium.FS_MATRIX()
    angles, sizes = [0.0], [0.0]
    for index in first:
        pdfium.FPDFText_GetMatrix(page, index, matrix)
        angles.append(pdfium.FPDFText_GetCharAngle(page, index))
        sizes.append(pdfium.FPDFText_GetFontSize(page, index) * hypot(matrix.c, matrix.d))
    return np.array(angles), np.array(sizes)
