"""PDF: the text layer page by page, laid out as a reader sees it, with what forms and typed-on text show.

Pages are separated by a line feed, and each is a segment; rows keep their cells, separated by tabs, and columns come
one after the other. A page without text, a scan or a drawing, is read by OCR (`--ocr`), and so is one whose fonts do
not say what their glyphs mean. Without OCR they are named in the notes; where there is nothing else, that is why the
file fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from extractor.data import Document
from extractor.readers._support import ocr
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.notes import named_pages
from extractor.readers._support.page_characters import combined
from extractor.readers._support.page_layout import page_text
from extractor.readers._support.pdf_annotations import with_annotations
from extractor.readers._support.pdf_characters import read_characters
from extractor.readers._support.pdf_fonts import garbled_share
from extractor.readers._support.pdf_missing_fonts import stand_in
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import Magic

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfiumError, PdfPage

SUFFIXES = (".pdf",)
NAME = "a PDF document"
SIGNATURES = (Magic(b"%PDF-", within=1019),)  # anywhere in the first 1024 bytes, as viewers accept it
ISOLATED = True
EXTRA = "docs"
PASSWORD, SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY of pdfium's fpdfview.h
GARBLED, PARTLY_GARBLED = 0.5, 0.1
"""Share of a page's characters that are garbled from which the page is, and from which it has text that is."""
MOST_DETAIL = 300 / 72
"""Scale at which a page is drawn for OCR at most: small pages are not blown up."""


@dataclass
class Pages:
    """The text of the pages so far, the numbers of those with objects and no text, of those that are garbled in part or
    for the most, and how many characters stand on the latter. `scan` reads pages by OCR."""

    builder: TextBuilder
    scan: ocr.Scan
    textless: list[int] = field(default_factory=list)
    garbled: list[int] = field(default_factory=list)
    unreadable: int = 0

    def add(self, number: int, text: str, garbled: float) -> None:
        """Add the text of a page, of which a share is garbled."""
        self.builder.add(text, {"page": number} if text.strip() else {"page": number, "text": False})
        self.garbled += [number] if garbled >= PARTLY_GARBLED else []
        self.unreadable += len(text) if garbled >= GARBLED else 0


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the text of all pages as one document. Raises OSError where it cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    document = _open(data, options.password)
    try:
        pages = _pages(document, options)
    finally:
        document.close()
    _check(pages, data, options)
    builder, notes = pages.builder, [*pages.scan.notes, *_notes(pages, options)]
    yield file.document(builder.text, sha256(data).hexdigest(), segments=builder.segments, notes=notes)


def _open(data: bytes, password: str | None) -> PdfDocument:
    import pypdfium2

    stand_in()
    problem: pypdfium2.PdfiumError | None = None
    for spelling in _spellings(password):
        try:
            document = pypdfium2.PdfDocument(data, password=spelling)
        except pypdfium2.PdfiumError as error:
            problem = error
        else:
            if document.get_formtype():
                document.init_forms()
            return document
    raise _refused(problem, password) from problem


def _spellings(password: str | None) -> Iterator[str | None]:
    """Yield the password as it is, and so that pdfium finds the bytes of GBK, which Chinese programs write."""
    yield password
    if password and not password.isascii():
        with suppress(UnicodeEncodeError):
            yield password.encode("gb18030").decode("latin-1")


def _refused(error: PdfiumError | None, password: str | None) -> ReadError:
    code = error.err_code if error else None
    if code == PASSWORD:
        what = "the password does not open it" if password else "a password is needed"
        return ReadError("locked", f"encrypted PDF, {what}: give the right one with --password")
    if code == SECURITY:
        return ReadError("locked", "encrypted PDF, in a way that cannot be opened here: save it unlocked")
    return damaged("PDF", error or "it cannot be opened")


def _pages(document: PdfDocument, options: ReadOptions) -> Pages:
    import pypdfium2

    builder = TextBuilder()
    pages = Pages(builder, ocr.Scan(builder))
    for index in range(len(document)):
        if index:
            builder.write("\n")
        try:
            _add_page(pages, document, index, options)
        except pypdfium2.PdfiumError as error:
            raise damaged("PDF", f"page {index + 1} of {len(document)}: {error}") from error
    return pages


def _add_page(pages: Pages, document: PdfDocument, index: int, options: ReadOptions) -> None:
    page, typed = with_annotations(document, index)
    try:
        layer = page.get_textpage()
        characters = read_characters(layer)
        text = page_text(combined(characters, typed))
        garbled = garbled_share(layer, characters.codes)
        is_wanting = options.ocr == "always" or not text or garbled >= GARBLED
        if is_wanting and ocr.is_on(options) and not _is_blank(page):
            scale = min(ocr.PICTURE_SIDE / max(1.0, *page.get_size()), MOST_DETAIL)
            pages.scan.add(page.render(scale=scale).to_pil(), index + 1, 1 / scale)  # boxes in points, 72 an inch
        else:
            pages.add(index + 1, text, garbled)
        if "text" in pages.builder.segments[-1].location and not _is_blank(page):
            pages.textless.append(index + 1)
    finally:
        page.close()


def _is_blank(page: PdfPage) -> bool:
    """Return whether nothing at all is drawn on the page."""
    import pypdfium2.raw as pdfium

    return bool(pdfium.FPDFPage_CountObjects(page) == 0)


def _check(pages: Pages, data: bytes, options: ReadOptions) -> None:
    """Check that there is a usable text. Raises ReadError."""
    text = pages.builder.text
    count = len({segment.location["page"] for segment in pages.builder.segments})
    if not text.strip():
        if b"%%EOF" not in data[-2048:]:
            raise damaged("PDF", "there is no text, and the end of the file is missing")
        what = f"no text layer: {count} page{'' if count == 1 else 's'} of images or drawings"
        raise ReadError("no-text", f"{what}; {ocr.advice(options)}" if count else "no text layer: a PDF without pages")
    if pages.unreadable > GARBLED * len(text):
        what = "the text layer is unreadable, its fonts do not name their characters"
        raise ReadError("no-text", f"{what}; {ocr.advice(options)}")


def _notes(pages: Pages, options: ReadOptions) -> Iterator[str]:
    """Yield what of the file is not in its text, or in doubt."""
    if pages.textless:
        which = "a scan or a drawing" if len(pages.textless) == 1 else "scans or drawings"
        yield f"no text on {named_pages(pages.textless)} ({which}): {ocr.advice(options)}"
    if pages.garbled:
        what = f"garbled text on {named_pages(pages.garbled)} (fonts that do not name their characters)"
        advice = "--ocr always reads pages as pictures" if ocr.is_on(options) else ocr.advice(options)
        yield f"{what}: {advice}"
