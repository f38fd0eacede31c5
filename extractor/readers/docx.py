"""Word: headers, the body in its order, footers and notes; paragraphs are lines, table rows lines with tabs.

Text boxes follow the paragraph that they hang on, nested tables stand in their cell. Of tracked changes, the text is
the one after them. What only a layout program can tell (page numbers, numbers of automatic lists) is not in the text.
The XML is read as it is, because a document with one broken part is still a document.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from extractor.data import Document, Json
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.ooxml_package import package
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.segments import TextBuilder

SUFFIXES = (".docx", ".docm", ".dotx")
ISOLATED = True
Element = Any
Where = Mapping[str, Json]

NOT_SHOWN = frozenset("del moveFrom instrText delText pPr rPr Fallback rt ffData sdtPr tblPr trPr tcPr tblGrid".split())
AS_TEXT = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
CHECKBOXES = {"F0FE": "☑", "F052": "☑", "F0FD": "☒", "F053": "☒", "F0A8": "☐", "F06F": "☐", "F0A3": "☐", "F0FC": "✓"}
"""What Wingdings shows at the code points that forms are ticked with."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """The document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    from lxml.etree import XMLSyntaxError

    data, unlocked = package(file, options)
    story = Story()
    with zipfile.ZipFile(io.BytesIO(unlocked)) as archive:
        try:
            _tell(Parts(archive), story)
        except XMLSyntaxError as error:
            raise damaged("Word document", error) from error
    if not story.pieces.text.strip():
        raise ReadError("empty", "no text: the document holds only white space or pictures")
    yield file.document(story.pieces.text, sha256(data).hexdigest(), segments=story.pieces.segments)


class Parts:
    """The XML parts of a package, by their relationship to the main one."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = frozenset(archive.namelist())
        found = self._related("", "/officeDocument")
        if not found:
            raise damaged("Word document", "it does not say which part is the main one")
        self.main = found[0]

    def of(self, kind: str) -> list[Element]:
        """The parts of a kind (`header`, `footer`, ...) that the main part uses."""
        return [self.root(name) for name in sorted(self._related(self.main, f"/{kind}"))]

    def root(self, name: str) -> Element:
        from lxml import etree

        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True)
        return etree.fromstring(self._archive.read(name), parser)

    def _related(self, name: str, kind: str) -> list[str]:
        folder, base = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{base}.rels")
        if relations not in self._names:
            return []
        targets = [it.get("Target", "") for it in self.root(relations) if it.get("Type", "").endswith(kind)]
        paths = [posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/") for target in targets]
        return [path for path in dict.fromkeys(paths) if path in self._names]


def _tell(parts: Parts, story: Story) -> None:
    for number, header in enumerate(parts.of("header"), 1):
        story.once(header, {"header": number})
    story.blocks(parts.root(parts.main), {})
    for number, footer in enumerate(parts.of("footer"), 1):
        story.once(footer, {"footer": number})
    for kind in ("footnote", "endnote"):
        for notes in parts.of(f"{kind}s"):
            for note in notes:
                if _attribute(note, "type") is None:  # the others are lines that set notes off
                    story.blocks(note, {kind: _attribute(note, "id")})


class Story:
    """The text as it is told, and how much of everything has been told."""

    def __init__(self) -> None:
        self.pieces = TextBuilder()
        self._gap = ""
        self._paragraphs = self._tables = self._boxes = 0
        self._told: set[str] = set()

    def once(self, element: Element, where: Where) -> None:
        """A header or a footer, unless another section has the same."""
        text = "".join(element.itertext())
        if text not in self._told:
            self._told.add(text)
            self.blocks(element, where)

    def blocks(self, element: Element, where: Where) -> None:
        """Paragraphs and tables, in their order; whatever holds them besides is looked through."""
        for child in element:
            name = _name(child)
            if name == "p":
                self._paragraph(child, where)
            elif name == "tbl":
                self._table(child, where)
            elif name not in NOT_SHOWN:
                self.blocks(child, where)

    def _paragraph(self, element: Element, where: Where) -> None:
        if not where:
            self._paragraphs += 1
        boxes: list[Element] = []
        text = "".join(_inline(element, boxes))
        self._place(text, where or {"paragraph": self._paragraphs})
        for box in boxes:
            self._boxes += 1
            self.blocks(box, {**where, "textbox": self._boxes})

    def _place(self, text: str, where: Where) -> None:
        if text.strip():
            self.pieces.write(self._gap)
            self.pieces.place(text, where)
            self._gap = "\n"

    def _table(self, element: Element, where: Where) -> None:
        self._tables += 1
        place = {**where, "table": self._tables}
        for number, row in enumerate(_inside(element, "tr"), 1):
            self._row(row, {**place, "row": number})

    def _row(self, element: Element, where: Where) -> None:
        """A tab for each cell but the first, also where it is empty."""
        self._gap = "\n" if self.pieces else ""
        for number, cell in enumerate(_inside(element, "tc"), 1):
            before = len(self.pieces)
            self.blocks(cell, {**where, "cell": number})
            self._gap = "\t" if len(self.pieces) > before else self._gap + "\t"
        self._gap = "\n" if self.pieces else ""


def _inline(element: Element, boxes: list[Element]) -> Iterator[str]:
    """The text of a paragraph; text boxes that hang on it are put aside."""
    for child in element:
        name = _name(child)
        if name == "t":
            yield "".join(child.itertext())
        elif name in AS_TEXT:
            yield AS_TEXT[name]
        elif name == "sym":
            yield _symbol(_attribute(child, "char") or "")
        elif name == "txbxContent":
            boxes.append(child)
        elif name not in NOT_SHOWN:
            yield from _inline(child, boxes)


def _symbol(code: str) -> str:
    try:
        return CHECKBOXES.get(code.upper()) or SURROGATE.sub("", chr(int(code, 16)))
    except ValueError:
        return ""


def _inside(element: Element, wanted: str) -> Iterator[Element]:
    """The rows of a table or the cells of a row, through whatever is around them."""
    for child in element:
        name = _name(child)
        if name == wanted:
            yield child
        elif name not in NOT_SHOWN and name not in ("tbl", "p"):
            yield from _inside(child, wanted)


def _name(element: Element) -> str:
    """The name without its namespace, of which there are two editions; nothing for what is no element."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "del"


def _attribute(element: Element, wanted: str) -> str | None:
    return next((value for name, value in element.attrib.items() if name.rpartition("}")[2] == wanted), None)
