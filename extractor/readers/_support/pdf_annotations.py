"""What annotations of a PDF page show as its text: filled-in fields, stamps, and text typed onto the page (FreeText).

Comments, notes and their pop-ups are talk about the page, not its text; what is hidden is not shown.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from extractor.readers._support.page_characters import Line

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

HIDDEN = 1 << 1 | 1 << 5  # FPDF_ANNOT_FLAG_HIDDEN, FPDF_ANNOT_FLAG_NOVIEW
LINE_HEIGHT = 12.0
"""Points that a line of typed text takes where there is room."""
EMPTY = 2
"""Bytes of an empty string in UTF-16, with its end."""


def with_annotations(document: PdfDocument, index: int) -> tuple[PdfPage, list[Line]]:
    """Return a page, what its annotations show made part of it, and text typed onto it that the file does not draw."""
    import pypdfium2.raw as pdfium

    page = document[index]
    typed, shown = _sorted_out(page)
    if shown and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        page.close()
        page = document[index]
    return page, typed


def _sorted_out(page: PdfPage) -> tuple[list[Line], bool]:
    """Return typed text without an appearance, and whether annotations are shown; remove all that are not text."""
    import pypdfium2.raw as pdfium

    typed: list[Line] = []
    shown = False
    for index in reversed(range(pdfium.FPDFPage_GetAnnotCount(page))):
        with _opened(page, index) as annotation:
            is_text = _is_text(annotation)
            if is_text and _is_without_appearance(annotation):
                typed[:0] = _lines(annotation)
        shown |= is_text
        if not is_text:
            pdfium.FPDFPage_RemoveAnnot(page, index)
    return typed, shown


@contextmanager
def _opened(page: PdfPage, index: int) -> Iterator[Any]:
    import pypdfium2.raw as pdfium

    annotation = pdfium.FPDFPage_GetAnnot(page, index)
    try:
        yield annotation
    finally:
        pdfium.FPDFPage_CloseAnnot(annotation)


def _is_text(annotation: Any) -> bool:
    import pypdfium2.raw as pdfium

    kinds = (pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP, pdfium.FPDF_ANNOT_WIDGET)
    visible = not pdfium.FPDFAnnot_GetFlags(annotation) & HIDDEN
    return visible and int(pdfium.FPDFAnnot_GetSubtype(annotation)) in kinds


def _is_without_appearance(annotation: Any) -> bool:
    import pypdfium2.raw as pdfium

    is_free = int(pdfium.FPDFAnnot_GetSubtype(annotation)) == pdfium.FPDF_ANNOT_FREETEXT
    normal = pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL
    return is_free and int(pdfium.FPDFAnnot_GetAP(annotation, normal, None, 0)) <= EMPTY


def _lines(annotation: Any) -> list[Line]:
    """Return the lines of an annotation, each in its share of the annotation's rectangle."""
    import pypdfium2.raw as pdfium

    area = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(annotation, area)
    lines = _contents(annotation).splitlines()
    height = min(LINE_HEIGHT, abs(area.top - area.bottom) / max(len(lines), 1))
    tops = (max(area.top, area.bottom) - number * height for number in range(len(lines)))
    return [(line, (area.left, top - height, area.right, top)) for line, top in zip(lines, tops, strict=True)]


def _contents(annotation: Any) -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAnnot_GetStringValue(
        annotation, b"Contents", ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size
    )
    return buffer.raw.decode("utf-16-le", "replace").rstrip("\0")
