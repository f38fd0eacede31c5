"""PDF: the text layer page by page, filled-in form fields included. A scan has none and is named as such.

Pages are separated by a line feed, and each is a segment. A hyphen that only a line's end has put into a word is
removed; any other one, as in a number, stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from extractor.data import Document
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import Magic

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

SUFFIXES = (".pdf",)
NAME = "a PDF document"
SIGNATURES = (Magic(b"%PDF-", within=1019),)  # anywhere in the first 1024 bytes, as viewers accept it
ISOLATED = True
EXTRA = "docs"
PASSWORD, SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY of pdfium's fpdfview.h
SOFT_HYPHEN = re.compile(r"(?<=[^\W\d_])\ufffe(?=[a-zà-ÿ])")
UNREADABLE_SHARE = 0.5
"""A text of which more than this share are not characters comes of fonts that do not say what their glyphs mean."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the text of all pages as one document. Raises OSError where it cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    document = _open(data, options.password)
    try:
        pages = _pages(document)
    finally:
        document.close()
    _check(pages, data)
    yield file.document(pages.text, sha256(data).hexdigest(), segments=pages.segments)


def _open(data: bytes, password: str | None) -> PdfDocument:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data, password=password)
    except pypdfium2.PdfiumError as error:
        if error.err_code == PASSWORD:
            what = "the password does not open it" if password else "a password is needed"
            raise ReadError("locked", f"encrypted PDF, {what}: give the right one with --password") from error
        if error.err_code == SECURITY:
            raise ReadError("locked", "encrypted PDF, in a way that cannot be opened here: save it unlocked") from error
        raise damaged("PDF", error) from error
    if document.get_formtype():
        document.init_forms()
    return document


def _pages(document: PdfDocument) -> TextBuilder:
    import pypdfium2

    pages = TextBuilder()
    for number in range(len(document)):
        try:
            text = _page(document, number)
        except pypdfium2.PdfiumError as error:
            raise damaged("PDF", f"page {number + 1} of {len(document)}: {error}") from error
        if number:
            pages.write("\n")
        pages.add(text, {"page": number + 1} if text.strip() else {"page": number + 1, "text": False})
    return pages


def _page(document: PdfDocument, number: int) -> str:
    """Return the text of a page, after flattening has made what form fields hold part of it."""
    page = document[number]
    try:
        if document.formenv:
            page.flatten()
            page.close()
            page = document[number]
        return _clean(page.get_textpage().get_text_range())
    finally:
        page.close()


def _clean(text: str) -> str:
    """Return the text with line feeds and without the marks that pdfium has for hyphens (U+FFFE, U+0002)."""
    text = text.replace("\r\n", "\n").replace("\0", "")
    return SOFT_HYPHEN.sub("", text).replace("\ufffe", "-").replace("\x02", "-")


def _check(pages: TextBuilder, data: bytes) -> None:
    """Check that there is a usable text layer. Raises ReadError."""
    text = "".join(pages.text.split())
    count = len(pages.segments)
    if not text:
        if b"%%EOF" not in data[-2048:]:
            raise damaged("PDF", "there is no text, and the end of the file is missing")
        what = f"no text layer: {count} page{'' if count == 1 else 's'} of images or drawings"
        raise ReadError(
            "no-text", f"{what}; put it through OCR first" if count else "no text layer: a PDF without pages"
        )
    if sum(map(_is_unreadable, text)) > UNREADABLE_SHARE * len(text):
        raise ReadError("no-text", "the text layer is unreadable, its fonts do not name their characters: use OCR")


def _is_unreadable(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in ("Co", "Cc", "Cn")
