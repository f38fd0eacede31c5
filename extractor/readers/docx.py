"""Word: headers, the body in its order, footers and notes; paragraphs are lines, table rows lines with tabs.

Text boxes follow the paragraph that they are anchored to, nested tables are in their cell. Tracked changes count as
accepted. What a paragraph shows is in `_support.word_text`; what only a layout program can tell (page numbers, numbers
of automatic lists) is not in the text. The XML is read as it is, because a document with one broken part is still a
document.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from extractor.data import Document
from extractor.readers._support.body_text import BodyText, Location
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.ooxml_package import ENCRYPTED, Parts, package
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.word_text import (
    NOT_SHOWN,
    OFF,
    Field,
    ParagraphText,
    children,
    chosen_in,
    hidden_styles,
    shows_placeholder,
)
from extractor.readers._support.xml_tree import Element, attribute, name_of

SUFFIXES = (".docx", ".docm", ".dotx")
NAME = "a Word document"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "word/")), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    with zipfile.ZipFile(io.BytesIO(unlocked)) as archive:
        parts = Parts(archive, "Word document", is_deep=True)
        body = WordText(None if options.hidden else hidden_styles(_styles(parts)))
        _add_parts(parts, body)
    if not body.builder.text.strip():
        raise ReadError("empty", "no text: the document shows only white space or pictures (what is hidden: --hidden)")
    digest = sha256(data).hexdigest()
    yield file.document(body.builder.text, digest, segments=body.builder.segments, notes=body.notes)


@dataclass(frozen=True, slots=True)
class Part:
    """The XML of a part, and the targets of its links by the id of their relationship."""

    root: Element
    links: Mapping[str, str]

    @classmethod
    def of(cls, parts: Parts, kind: str) -> list[Part]:
        """Return the parts of a kind (`header`, `footer`, ...) that the main part uses."""
        return [cls(parts.root(name), parts.links(name)) for name in sorted(parts.related(parts.main, f"/{kind}"))]


def _add_parts(parts: Parts, body: WordText) -> None:
    for number, header in enumerate(Part.of(parts, "header"), 1):
        body.add_once(header, {"header": number})
    body.add_part(Part(parts.root(parts.main), parts.links(parts.main)), {})
    for number, footer in enumerate(Part.of(parts, "footer"), 1):
        body.add_once(footer, {"footer": number})
    for kind in ("footnote", "endnote"):
        for notes in Part.of(parts, f"{kind}s"):
            for note in notes.root:
                if attribute(note, "type") is None:  # the others are separator lines
                    body.add_part(Part(note, notes.links), {kind: attribute(note, "id")})


def _styles(parts: Parts) -> list[Element]:
    return [style for root in parts.of("styles") for style in children(root, "style")]


class WordText(BodyText):
    """The text as it grows, and the numbers of its paragraphs, tables and text boxes so far.

    Hidden words are left out and counted, those of `hidden` styles among them; None shows them.
    """

    def __init__(self, hidden: frozenset[str] | None) -> None:
        super().__init__()
        self._hidden = hidden
        self._hidden_characters = self._hidden_rows = 0
        self._links: Mapping[str, str] = {}
        self._fields: list[Field] = []
        self._paragraphs = self._tables = self._boxes = 0
        self._added: set[str] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the text leaves out."""
        characters = counted(self._hidden_characters, "hidden character")
        return left_out(characters, counted(self._hidden_rows, "hidden row"))

    def add_once(self, part: Part, location: Location) -> None:
        """Add a header or a footer, unless another section has the same."""
        text = "".join(part.root.itertext())
        if text not in self._added:
            self._added.add(text)
            self.add_part(part, location)

    def add_part(self, part: Part, location: Location) -> None:
        """Add what is in a part."""
        self._links, self._fields = part.links, []
        self.add_blocks(part.root, location)

    def add_blocks(self, element: Element, location: Location) -> None:
        """Add paragraphs and tables in their order, through whatever elements are around them."""
        for child in element:
            name = name_of(child)
            if name == "p":
                self._add_paragraph(child, location)
            elif name == "tbl":
                self._add_table(child, location)
            elif name == "sdt" and (chosen := _shown_instead(child)):
                self.add(chosen, self._numbered(location))
            elif name not in NOT_SHOWN:
                self.add_blocks(child, location)

    def _add_paragraph(self, element: Element, location: Location) -> None:
        place = self._numbered(location)
        paragraph = ParagraphText.of(element, self._hidden, self._links, self._fields)
        self._hidden_characters += paragraph.hidden
        self.add(paragraph.text, place)
        for box in paragraph.boxes:
            self._boxes += 1
            self.add_blocks(box, {**location, "textbox": self._boxes})

    def _numbered(self, location: Location) -> Location:
        """Return where the next paragraph is: in the body it has a number."""
        if not location:
            self._paragraphs += 1
        return location or {"paragraph": self._paragraphs}

    def _add_table(self, element: Element, location: Location) -> None:
        self._tables += 1
        table = {**location, "table": self._tables}
        for number, row in enumerate(_children(element, "tr"), 1):
            if self._hidden is not None and _is_hidden_row(row):
                self._hidden_rows += 1
            else:
                self.add_row(_children(row, "tc"), self.add_blocks, {**table, "row": number})


def _is_hidden_row(row: Element) -> bool:
    marks = (each for properties in children(row, "trPr") for each in children(properties, "hidden"))
    return any(attribute(each, "val") not in OFF for each in marks)


def _shown_instead(control: Element) -> str:
    """Return what was chosen in a content control around paragraphs that shows nothing, or how to fill it in."""
    is_blank = shows_placeholder(control) or not "".join(control.itertext()).strip()
    return chosen_in(control) if is_blank else ""


def _children(element: Element, wanted: str) -> Iterator[Element]:
    """Yield the rows of a table or the cells of a row, through whatever elements are around them."""
    for child in element:
        name = name_of(child)
        if name == wanted:
            yield child
        elif name not in NOT_SHOWN and name not in ("tbl", "p"):
            yield from _children(child, wanted)
