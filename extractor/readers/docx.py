"""Word: headers, the body in its order, footers and notes; paragraphs are lines, table rows lines with tabs.

Text boxes follow the paragraph that they are anchored to, nested tables are in their cell. Tracked changes count as
accepted. What only a layout program can tell (page numbers, numbers of automatic lists) is not in the text. The XML is
read as it is, because a document with one broken part is still a document.
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
from extractor.readers._support.ooxml_package import ENCRYPTED, package
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import ZipPackage

SUFFIXES = (".docx", ".docm", ".dotx")
NAME = "a Word document"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "word/")), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"
Element = Any
Location = Mapping[str, Json]

NOT_SHOWN = frozenset("del moveFrom instrText delText pPr rPr Fallback rt ffData sdtPr tblPr trPr tcPr tblGrid".split())
AS_TEXT = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
CHECKBOXES = {"F0FE": "☑", "F052": "☑", "F0FD": "☒", "F053": "☒", "F0A8": "☐", "F06F": "☐", "F0A3": "☐", "F0FC": "✓"}
"""What Wingdings shows at the code points that forms are ticked with."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    from lxml.etree import XMLSyntaxError

    data, unlocked = package(file, options)
    with zipfile.ZipFile(io.BytesIO(unlocked)) as archive:
        try:
            parts = Parts(archive)
            body = BodyText(None if options.hidden else _hidden_styles(parts))
            _add_parts(parts, body)
        except XMLSyntaxError as error:
            raise damaged("Word document", error) from error
    if not body.builder.text.strip():
        raise ReadError("empty", "no text: the document shows only white space or pictures (what is hidden: --hidden)")
    yield file.document(body.builder.text, sha256(data).hexdigest(), segments=body.builder.segments)


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
        """Return the parts of a kind (`header`, `footer`, ...) that the main part uses."""
        return [self.root(name) for name in sorted(self._related(self.main, f"/{kind}"))]

    def root(self, name: str) -> Element:
        """Parse a part. Entities are not expanded and nothing outside of the file is loaded."""
        from lxml import etree

        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True)
        return etree.fromstring(self._archive.read(name), parser)

    def _related(self, name: str, kind: str) -> list[str]:
        """Return the names of the parts to which a part (the package itself: "") has a relationship of a kind."""
        folder, base = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{base}.rels")
        if relations not in self._names:
            return []
        targets = [it.get("Target", "") for it in self.root(relations) if it.get("Type", "").endswith(kind)]
        paths = [posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/") for target in targets]
        return [path for path in dict.fromkeys(paths) if path in self._names]


def _add_parts(parts: Parts, body: BodyText) -> None:
    for number, header in enumerate(parts.of("header"), 1):
        body.add_once(header, {"header": number})
    body.add_blocks(parts.root(parts.main), {})
    for number, footer in enumerate(parts.of("footer"), 1):
        body.add_once(footer, {"footer": number})
    for kind in ("footnote", "endnote"):
        for notes in parts.of(f"{kind}s"):
            for note in notes:
                if _attribute(note, "type") is None:  # the others are separator lines
                    body.add_blocks(note, {kind: _attribute(note, "id")})


class BodyText:
    """The text as it grows, and the numbers of its paragraphs, tables and text boxes so far.

    `_gap` is the white space before the next text: a line feed, or a tab for each cell since the last text in its row.
    Hidden words are left out, those of `hidden` styles among them; None shows them.
    """

    def __init__(self, hidden: frozenset[str] | None) -> None:
        self._hidden = hidden
        self.builder = TextBuilder()
        self._gap = ""
        self._paragraphs = self._tables = self._boxes = 0
        self._added: set[str] = set()

    def add_once(self, element: Element, location: Location) -> None:
        """Add a header or a footer, unless another section has the same."""
        text = "".join(element.itertext())
        if text not in self._added:
            self._added.add(text)
            self.add_blocks(element, location)

    def add_blocks(self, element: Element, location: Location) -> None:
        """Add paragraphs and tables in their order, through whatever elements are around them."""
        for child in element:
            name = _name(child)
            if name == "p":
                self._add_paragraph(child, location)
            elif name == "tbl":
                self._add_table(child, location)
            elif name not in NOT_SHOWN:
                self.add_blocks(child, location)

    def _add_paragraph(self, element: Element, location: Location) -> None:
        if not location:
            self._paragraphs += 1
        boxes: list[Element] = []
        text = "".join(_inline(element, boxes, self._hidden))
        self._add_text(text, location or {"paragraph": self._paragraphs})
        for box in boxes:
            self._boxes += 1
            self.add_blocks(box, {**location, "textbox": self._boxes})

    def _add_text(self, text: str, location: Location) -> None:
        if text.strip():
            self.builder.write(self._gap)
            self.builder.add(text, location)
            self._gap = "\n"

    def _add_table(self, element: Element, location: Location) -> None:
        self._tables += 1
        table = {**location, "table": self._tables}
        for number, row in enumerate(_children(element, "tr"), 1):
            self._add_row(row, {**table, "row": number})

    def _add_row(self, element: Element, location: Location) -> None:
        """Add the cells of a row, with a tab before each but the first, also where cells are empty."""
        self._gap = "\n" if self.builder else ""
        for number, cell in enumerate(_children(element, "tc"), 1):
            before = len(self.builder)
            self.add_blocks(cell, {**location, "cell": number})
            self._gap = "\t" if len(self.builder) > before else self._gap + "\t"
        self._gap = "\n" if self.builder else ""


def _inline(element: Element, boxes: list[Element], hidden: frozenset[str] | None) -> Iterator[str]:
    """Yield the text of a paragraph, and collect the text boxes that are anchored to it."""
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
        elif name not in NOT_SHOWN and not (name == "r" and hidden is not None and _is_hidden(child, hidden)):
            yield from _inline(child, boxes, hidden)


def _hidden_styles(parts: Parts) -> frozenset[str]:
    """Return the styles whose words are hidden."""
    styles = (style for root in parts.of("styles") for style in root if _name(style) == "style")
    return frozenset(_attribute(style, "styleId") or "" for style in styles if _is_hidden(style, frozenset()))


def _is_hidden(element: Element, styles: frozenset[str]) -> bool:
    """Tell whether the properties of a run or a style hide its words (`w:vanish`)."""
    for each in (each for child in element if _name(child) == "rPr" for each in child):
        if _name(each) == "vanish":
            return _attribute(each, "val") not in ("0", "false", "off")
        if _name(each) == "rStyle" and _attribute(each, "val") in styles:
            return True
    return False


def _symbol(code: str) -> str:
    try:
        return CHECKBOXES.get(code.upper()) or SURROGATE.sub("", chr(int(code, 16)))
    except ValueError:
        return ""


def _children(element: Element, wanted: str) -> Iterator[Element]:
    """Yield the rows of a table or the cells of a row, through whatever elements are around them."""
    for child in element:
        name = _name(child)
        if name == wanted:
            yield child
        elif name not in NOT_SHOWN and name not in ("tbl", "p"):
            yield from _children(child, wanted)


def _name(element: Element) -> str:
    """Return the name without its namespace, of which there are two editions; `del` for comments and the like."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "del"


def _attribute(element: Element, wanted: str) -> str | None:
    return next((value for name, value in element.attrib.items() if name.rpartition("}")[2] == wanted), None)
