"""PowerPoint: slides in their order, the title first, then text, tables, diagrams and charts, then the speaker's notes.

Paragraphs are lines, table rows lines with tabs; groups are read through. Hidden slides and shapes are left out. The
XML is read as it is: slide shows and strict presentations too, and those with a part that python-pptx does not expect.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from extractor.data import Document
from extractor.readers._support.body_text import BodyText, Location
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import ReadError
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.number_formats import shown
from extractor.readers._support.ooxml_package import ENCRYPTED, Parts, package
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.xml_tree import Element, attribute, name_of

SUFFIXES = (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm")
NAME = "a PowerPoint presentation"
SIGNATURES = (ZipPackage(("[Content_Types].xml", "ppt/")), ENCRYPTED)
ISOLATED = True
EXTRA = "docs"
TITLES = frozenset(("title", "ctrTitle"))
FURNITURE = frozenset(("dt", "ftr", "hdr"))
"""Placeholders of what is the same on every slide."""
NUMBERS = frozenset(("sldNum", "sldImg"))


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the presentation. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data, unlocked = package(file, options)
    with zipfile.ZipFile(io.BytesIO(unlocked)) as archive:
        parts = Parts(archive, "presentation")
        text = SlidesText(parts, options)
        targets = parts.targets(parts.main)
        slides = (targets.get(_relation(slide, "id")) for slide in parts.root(parts.main).iter("{*}sldId"))
        for name in filter(None, dict.fromkeys(slides)):
            text.add_slide(name)
    if not text.builder.text.strip():
        raise ReadError("empty", "no text: the slides show only pictures (what is hidden: --hidden)")
    notes = left_out(counted(text.hidden_slides, "hidden slide"), counted(text.hidden_shapes, "hidden shape"))
    yield file.document(text.builder.text, sha256(data).hexdigest(), segments=text.builder.segments, notes=notes)


def _relation(element: Element, name: str) -> str:
    """Return an attribute that names a relationship; one without a namespace has the same name and is another."""
    found = (value for key, value in element.attrib.items() if key.endswith(f"relationships}}{name}"))
    return next(found, "")


class SlidesText(BodyText):
    """The text as it grows, and the numbers of slides so far."""

    def __init__(self, parts: Parts, options: ReadOptions) -> None:
        super().__init__()
        self._parts = parts
        self._hidden = options.hidden
        self._limit = options.max_bytes
        self._shown: set[str] = set()  # parts beside the slides, each of which is one slide's
        self._number = 0
        self._furniture: set[str] = set()
        self._targets: dict[str, str] = {}
        self.hidden_slides = self.hidden_shapes = 0

    def add_slide(self, name: str) -> None:
        """Add a slide and the notes of its speaker, unless it is hidden."""
        self._number += 1
        root = self._parts.root(name)
        if attribute(root, "show") in ("0", "false") and not self._hidden:
            self.hidden_slides += 1
            return
        self._targets = self._parts.targets(name)
        shapes = [shape for tree in root.iter("{*}spTree") for shape in self._shapes(tree)]
        for shape in sorted(shapes, key=lambda shape: _placeholder(shape) not in TITLES):
            self._add_shape(shape, {"slide": self._number})
        for notes in filter(self._is_new, self._parts.related(name, "/notesSlide")):
            self._add_notes(self._parts.root(notes))
        if len(self.builder) > self._limit:
            raise ReadError("too-large", too_large("the text of the presentation", self._limit))

    def _is_new(self, part: str) -> bool:
        """Tell whether a part has not been shown yet, and note it: a file may name one any number of times."""
        is_new = part not in self._shown
        self._shown.add(part)
        return is_new

    def _target(self, element: Element, name: str) -> str:
        """Return the part that an attribute names, the first time; else nothing."""
        part = self._targets.get(_relation(element, name), "")
        return part if part and self._is_new(part) else ""

    def _shapes(self, tree: Element) -> Iterator[Element]:
        """Yield the shapes of a slide that are shown, through groups; of alternatives the one for programs of today."""
        for child in tree:
            name = name_of(child)
            if name in ("sp", "graphicFrame", "cxnSp", "pic"):
                if _is_hidden(child) and not self._hidden:
                    self.hidden_shapes += 1
                else:
                    yield child
            elif name in ("grpSp", "AlternateContent", "Choice"):
                yield from self._shapes(child)

    def _add_shape(self, shape: Element, location: Location) -> None:
        kind = _placeholder(shape)
        text = "".join(shape.itertext()).strip()
        if kind in NUMBERS or (kind in FURNITURE and text in self._furniture):
            return
        if kind in FURNITURE:
            self._furniture.add(text)
        for element in shape.iter("{*}txBody", "{*}tbl", "{*}chart", "{*}relIds"):
            name = name_of(element)
            if name == "txBody" and name_of(element.getparent()) != "tc":
                self._add_paragraphs(element, location)
            elif name == "tbl":
                self._add_table(element, location)
            elif name == "chart" and (part := self._target(element, "id")):
                self._add_chart(self._parts.root(part), {**location, "chart": True})
            elif name == "relIds" and (part := self._target(element, "dm")):
                self._add_paragraphs(self._parts.root(part), {**location, "diagram": True})

    def _add_paragraphs(self, element: Element, location: Location) -> None:
        for paragraph in element.iter("{*}p"):
            self.add("".join(_words(paragraph)), location)

    def _add_table(self, table: Element, location: Location) -> None:
        rows = (child for child in table if name_of(child) == "tr")
        for number, row in enumerate(rows, 1):
            cells = [child for child in row if name_of(child) == "tc"]
            self.add_row(cells, self._add_paragraphs, {**location, "row": number})

    def _add_chart(self, root: Element, location: Location) -> None:
        """Add the titles of a chart, and its numbers: a line for its categories, and one for each series."""
        for title in root.iter("{*}title"):
            self._add_paragraphs(title, location)
        series = [_Series.of(each) for each in root.iter("{*}ser")]
        if series:
            self.add("\t".join(["", *series[0].categories]), location)
        for each in series:
            self.add("\t".join([each.name, *each.values]), location)

    def _add_notes(self, root: Element) -> None:
        for tree in root.iter("{*}spTree"):
            for shape in self._shapes(tree):
                if _placeholder(shape) not in FURNITURE | NUMBERS:
                    self._add_shape(shape, {"slide": self._number, "notes": True})


@dataclass(frozen=True, slots=True)
class _Series:
    """The numbers of a chart under a name, and the categories that they are of, as the chart shows them."""

    name: str
    categories: tuple[str, ...]
    values: tuple[str, ...]

    @classmethod
    def of(cls, element: Element) -> _Series:
        """Return the series that the chart keeps a copy of."""
        found = {name_of(child): tuple(_cached(child)) for child in element}
        name = " ".join(found.get("tx", ()))
        return cls(name, found.get("cat") or found.get("xVal", ()), found.get("val") or found.get("yVal", ()))


def _cached(element: Element) -> Iterator[str]:
    """Yield the values of a reference to a workbook that the chart keeps; those of one level, where there are more."""
    for value in element.iter("{*}v"):
        text = (value.text or "").strip()
        try:
            yield shown(float(text), "General")
        except ValueError:
            yield text


def _placeholder(shape: Element) -> str:
    """Return what kind of placeholder a shape is; empty for none."""
    found = next(shape.iter("{*}ph"), None)
    return "" if found is None else attribute(found, "type") or "obj"


def _is_hidden(shape: Element) -> bool:
    properties = next(shape.iter("{*}cNvPr"), None)
    return properties is not None and attribute(properties, "hidden") in ("1", "true")


def _words(paragraph: Element) -> Iterator[str]:
    for element in paragraph.iter("{*}t", "{*}br"):
        yield "\n" if name_of(element) == "br" else element.text or ""
