"""Whether the text layer of a PDF is text: fonts that do not say what their glyphs mean leave the numbers of glyphs."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from extractor.readers._support.page_layout import LINE_HYPHEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pypdfium2 import PdfTextPage

SAMPLE = 512
"""How many characters of a page are asked whether their font says what they mean."""
SYMBOLS = re.compile(r"[!\"#$%&'*+;<=>?@\[\\\]^_`{|}~¡-¿÷×]")
MOST_SYMBOLS, LEAST_VOWELS, LEAST_COMMON = 0.25, 0.22, 0.5
"""Text of which more are symbols, or of whose letters fewer are vowels, or of whose ideographs fewer are common, is in
no language."""
ENOUGH = 20
"""Letters, or ideographs, from which their shares say something."""
LETTERS, VOWELS = re.compile(r"[A-Za-z]"), re.compile(r"[aeiouyAEIOUY]")
IDEOGRAPHS = re.compile(r"[\u3400-\u9fff]")


def garbled_share(page: PdfTextPage, codes: NDArray[np.uint32]) -> float:
    """Return which share of a page's characters is garbled: their font does not name them, and they make no text."""
    import pypdfium2.raw as pdfium

    sample = range(0, len(codes), max(1, len(codes) // SAMPLE))
    solid = {at: chr(codes[at]) for at in sample if codes[at] != LINE_HYPHEN and not chr(codes[at]).isspace()}
    unnamed = "".join(text for at, text in solid.items() if pdfium.FPDFText_HasUnicodeMapError(page, at) > 0)
    broken = sum(map(is_no_character, solid.values()))
    return max(broken, len(unnamed) if is_nonsense(unnamed) else 0) / max(len(solid), 1)


def is_no_character(character: str) -> bool:
    """Return whether something stands for no character: private, unassigned, a control, or the mark of what is lost."""
    return character == "\ufffd" or unicodedata.category(character) in ("Co", "Cc", "Cn")


def is_nonsense(text: str) -> bool:
    """Return whether a text is in no language, as numbers of glyphs are."""
    if not text:
        return False
    if sum(map(is_no_character, text)) > 0.02 * len(text) or len(SYMBOLS.findall(text)) > MOST_SYMBOLS * len(text):
        return True
    letters, ideographs = LETTERS.findall(text), IDEOGRAPHS.findall(text)
    vowels = sum(bool(VOWELS.match(letter)) for letter in letters)
    common = sum(map(_is_common, ideographs))
    return (len(letters) >= ENOUGH and vowels < LEAST_VOWELS * len(letters)) or (
        len(ideographs) >= ENOUGH and common < LEAST_COMMON * len(ideographs)
    )


def _is_common(ideograph: str) -> bool:
    """Return whether an ideograph is in the first level of GB 2312 or of Big5."""
    simplified, traditional = ideograph.encode("gb2312", "ignore"), ideograph.encode("big5", "ignore")
    return b"\xb0" <= simplified[:1] <= b"\xd7" or b"\xa4" <= traditional[:1] <= b"\xc6"
