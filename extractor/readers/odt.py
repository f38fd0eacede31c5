"""OpenDocument texts: headers, the body in its order, footers and notes, as in `docx`.

Tracked changes count as accepted, comments and numbers of lists are not text. Text boxes follow the paragraph that they
are anchored to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from extractor.data import Document
from extractor.readers._support.body_text import BodyText, Location
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.open_document import (
    CONTENT,
    NOT_SHOWN,
    PARAGRAPHS,
    STYLES,
    Inline,
    hidden_styles,
    open_document,
    repeated,
)
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.xml_tree import Element, attribute, name_of

SUFFIXES = (".odt", ".ott")
NAME = "an OpenDocument text"
SIGNATURES = (ZipPackage(("content.xml", "META-INF/manifest.xml"), mimetype="application/vnd.oasis.opendocument.text"),)
ISOLATED = True
EXTRA = "docs"
HEADERS = frozenset(("header", "header-left", "header-first"))
FOOTERS = frozenset(("footer", "footer-left", "footer-first"))
COLUMNS = "number-columns-repeated"
LAST_COLUMN = 16_384
REPEATED_CELLS = 100_000
"""How many cells may be written once and shown again, with all that is in them."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    package = open_document(file, "OpenDocument text", options)
    content = package.xml(CONTENT)
    styles = package.xml(STYLES) if STYLES in package else content
    text = OdtText(None if options.hidden else hidden_styles(styles, content))
    text.add_once(styles, HEADERS, "header")
    for body in content.iter("{*}text"):
        if name_of(body.getparent()) == "body":
            text.add_blocks(body, {})
    text.add_once(styles, FOOTERS, "footer")
    text.add_notes()
    if not text.builder.text.strip():
        raise ReadError("empty", "no text: the document shows only white space or pictures (what is hidden: --hidden)")
    yield file.document(text.builder.text, package.sha256, segments=text.builder.segments, notes=text.notes)


class OdtText(BodyText):
    """The text as it grows, and the numbers of its paragraphs, tables and text boxes so far."""

    def __init__(self, hidden: frozenset[str] | None) -> None:
        super().__init__()
        self._inline = Inline(hidden)
        self._paragraphs = self._tables = self._boxes = 0
        self._added: set[str] = set()
        self._left = REPEATED_CELLS

    @property
    def notes(self) -> tuple[str, ...]:
        """What the text leaves out."""
        return left_out(counted(self._inline.left_out, "hidden passage"))

    def add_once(self, styles: Element, names: frozenset[str], kind: str) -> None:
        """Add the headers or footers of all page styles, each text once."""
        number = 0
        for element in styles.iter("{*}*"):
            text = "".join(element.itertext()) if name_of(element) in names else ""
            if text.strip() and text not in self._added:
                self._added.add(text)
                number += 1
                self.add_blocks(element, {kind: number})

    def add_blocks(self, element: Element, location: Location) -> None:
        """Add paragraphs, lists and tables in their order, through whatever elements are around them."""
        for child in element:
            name = name_of(child)
            if self._inline.is_hidden(child) or name in NOT_SHOWN:
                continue
            if name in PARAGRAPHS:
                self._add_paragraph(child, location)
            elif name == "table":
                self._add_table(child, location)
            else:
                self.add_blocks(child, location)

    def add_notes(self) -> None:
        """Add the footnotes and endnotes that paragraphs refer to, in their order."""
        for number, note in enumerate(self._inline.notes, 1):
            kind = attribute(note, "note-class") or "footnote"
            for body in (each for each in note if name_of(each) == "note-body"):
                self.add_blocks(body, {kind: number})

    def _add_paragraph(self, element: Element, location: Location) -> None:
        if not location:
            self._paragraphs += 1
        self.add(self._inline.text(element), location or {"paragraph": self._paragraphs})
        boxes, self._inline.boxes = self._inline.boxes, []
        for box in boxes:
            self._boxes += 1
            self.add_blocks(box, {**location, "textbox": self._boxes})

    def _add_table(self, element: Element, location: Location) -> None:
        self._tables += 1
        table = {**location, "table": self._tables}
        for number, row in enumerate(_rows(element), 1):
            self.add_row(self._cells(row), self.add_blocks, {**table, "row": number})

    def _cells(self, row: Element) -> Iterator[Element]:
        """Yield the cells of a row; one that is covered by another is empty. Raises ReadError for too many."""
        cells = [cell for cell in row if name_of(cell) in ("table-cell", "covered-table-cell")]
        for cell in cells:
            times = repeated(cell, COLUMNS, LAST_COLUMN)
            self._left -= times - 1
            if self._left < 0:
                raise ReadError("bomb", f"cells are repeated more than {REPEATED_CELLS:,} times: leave the file out")
            yield from itertools.repeat(cell, times)


def _rows(element: Element) -> Iterator[Element]:
    """Yield the rows of a table, through headers and groups of rows."""
    for child in element:
        name = name_of(child)
        if name == "table-row":
            yield child
        elif name in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(child)
