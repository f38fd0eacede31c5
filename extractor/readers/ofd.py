"""OFD, the format of Chinese invoices and official documents (GB/T 33190): the text of each page in lines.

A page says where each piece of text is drawn, its templates first: pieces on one height are a line, from left to right,
with a space where there is a gap. Text of annotations follows that of their page. What is a picture, such as a seal, is
not text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from extractor.data import Document, Json
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import Bomb, ReadError, damaged
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.placed_text import Piece, lines
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.xml_tree import Element, attribute, name_of
from extractor.readers._support.zip_package import Package, open_package

SUFFIXES = (".ofd",)
NAME = "an OFD document"
SIGNATURES = (ZipPackage(("OFD.xml",)),)
ISOLATED = True
EXTRA = "docs"
ROOT = "OFD.xml"
COMPOSITES = 4
"""How deep graphics that are used by others are followed."""
OBJECTS = 500_000
"""How many objects a part may be drawn with: graphics can use others that use others, many times each."""
USUAL_SIZE = 3.5
"""Of a text whose size is not said, in millimetres."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield all pages as one document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    package = open_package(file, "OFD document", options)
    if "Encryptions.xml" in package:
        raise ReadError("locked", "the OFD document is encrypted: open it with its password and save it without")
    root = package.xml(ROOT)
    bodies = [_path(ROOT, _text(each, "DocRoot"), package) for each in _named(root, "DocBody")]
    bodies = [body for body in bodies if body]
    if not bodies:
        raise damaged(package.what, "it does not say which part is the document")
    pages = OfdText(package, options.max_bytes)
    for number, body in enumerate(bodies, 1):
        pages.add_document(body, {"document": number} if len(bodies) > 1 else {})
    if not pages.builder.text.strip():
        raise ReadError("no-text", f"no text: {pages.count} pages of pictures or drawings; put it through OCR first")
    notes = left_out(counted(pages.watermarks, "watermark"), counted(len(pages.attached), "attachment", pages.attached))
    yield file.document(pages.builder.text, package.sha256, segments=pages.builder.segments, notes=notes)


@dataclass(slots=True)
class Resources:
    """What the pages of a document share, by id: the parts of its templates, its composite graphics, the names of its
    pages' annotations."""

    templates: dict[str, str] = field(default_factory=dict)
    graphics: dict[str, Element] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


class OfdText:
    """The text of the pages as it grows. The pieces of a part are found once, however many pages show it."""

    def __init__(self, package: Package, limit: int) -> None:
        self._package = package
        self._limit = limit
        self._pieces: dict[str, list[Piece]] = {}
        self.builder = TextBuilder()
        self.count = self.watermarks = 0
        self.attached: list[str] = []

    def add_document(self, part: str, location: Mapping[str, Json]) -> None:
        """Add the pages of a document, and count what else it holds."""
        root = self._package.xml(part)
        resources = self._resources(root, part)
        for number, page in enumerate(_named(root, "Page"), 1):
            if name := _path(part, attribute(page, "BaseLoc"), self._package):
                self._add_page(name, attribute(page, "ID") or "", resources, {**location, "page": number})
        self._add_attachments(root, part)

    def _resources(self, root: Element, part: str) -> Resources:
        found = Resources()
        for template in _named(root, "TemplatePage"):
            if name := _path(part, attribute(template, "BaseLoc"), self._package):
                found.templates[attribute(template, "ID") or ""] = name
        for kind in ("PublicRes", "DocumentRes"):
            for each in _named(root, kind):
                if name := _path(part, each.text, self._package):
                    for unit in _named(self._package.xml(name), "CompositeGraphicUnit"):
                        found.graphics[attribute(unit, "ID") or ""] = unit
        if name := _path(part, _text(root, "Annotations"), self._package):
            for page in _named(self._package.xml(name), "Page"):
                if annotations := _path(name, _text(page, "FileLoc"), self._package):
                    found.annotations[attribute(page, "PageID") or ""] = annotations
        return found

    def _add_page(self, name: str, id: str, resources: Resources, location: Mapping[str, Json]) -> None:
        self.count += 1
        pieces = []
        root = self._package.xml(name) if name not in self._pieces else None
        if root is not None:
            used = (resources.templates.get(attribute(each, "TemplateID") or "") for each in _named(root, "Template"))
            for template in filter(None, used):
                pieces += self._of_part(template, resources)
            self._pieces[name] = pieces + list(Drawing(resources.graphics).pieces(root))
        self._add_lines(self._pieces[name], location)
        if (annotations := resources.annotations.get(id)) and annotations in self._package:
            self._add_annotations(self._package.xml(annotations), resources, location)

    def _of_part(self, name: str, resources: Resources) -> list[Piece]:
        if name not in self._pieces:
            self._pieces[name] = list(Drawing(resources.graphics).pieces(self._package.xml(name)))
        return self._pieces[name]

    def _add_annotations(self, root: Element, resources: Resources, location: Mapping[str, Json]) -> None:
        for annotation in _named(root, "Annot"):
            kind = attribute(annotation, "Type") or ""
            if kind == "Watermark":
                self.watermarks += 1
            else:
                self._add_lines(list(Drawing(resources.graphics).pieces(annotation)), {**location, "annotation": kind})

    def _add_lines(self, pieces: list[Piece], location: Mapping[str, Json]) -> None:
        for line in lines(pieces):
            self.builder.add_line(line.text, {**location, "box": [round(edge, 2) for edge in line.box]})
        if len(self.builder) > self._limit:
            raise ReadError("too-large", too_large("the text of the document", self._limit))

    def _add_attachments(self, root: Element, part: str) -> None:
        if name := _path(part, _text(root, "Attachments"), self._package):
            for each in _named(self._package.xml(name), "Attachment"):
                self.attached.append(attribute(each, "Name") or attribute(each, "ID") or "unnamed")


@dataclass(slots=True)
class Drawing:
    """What is drawn below an element, composite graphics of a document (by id) among it; `left` bounds the objects."""

    graphics: Mapping[str, Element]
    left: int = OBJECTS

    def pieces(self, root: Element, depth: int = 0) -> Iterator[Piece]:
        """Yield the pieces of text, in the order in which they are drawn. Raises Bomb for too many objects."""
        for element in root.iter("{*}TextObject", "{*}CompositeObject"):
            self.left -= 1
            if self.left < 0:
                raise Bomb(f"a page is drawn with more than {OBJECTS:,} objects")
            left, top, *_ = _numbers(attribute(element, "Boundary"), 4)
            if name_of(element) == "TextObject":
                yield from _text_pieces(element, left, top)
            elif (unit := self.graphics.get(attribute(element, "ResourceID") or "")) is not None and depth < COMPOSITES:
                for piece in self.pieces(unit, depth + 1):
                    yield replace(piece, left=piece.left + left, bottom=piece.bottom + top)


def _text_pieces(element: Element, left: float, top: float) -> Iterator[Piece]:
    """Yield the pieces of a text object, which begins at a place in its own box, moved and turned by its matrix."""
    size = _numbers(attribute(element, "Size"), 1)[0] or USUAL_SIZE
    a, b, c, d, e, f = _numbers(attribute(element, "CTM") or "1 0 0 1 0 0", 6)
    x = y = 0.0
    for code in _named(element, "TextCode"):
        text = " ".join((code.text or "").split())
        x, y = (_number(attribute(code, name), before) for name, before in (("X", x), ("Y", y)))
        if text:
            scale = (a * a + b * b) ** 0.5 or 1.0
            width = _width(text, attribute(code, "DeltaX"), size) * scale
            yield Piece(left + a * x + c * y + e, top + b * x + d * y + f, width, size * scale, text)


def _width(text: str, delta: str | None, size: float) -> float:
    """Return how wide a text is: the distances from each character to the next where they are said, and the last."""
    steps = _deltas(delta, len(text) - 1)
    last = size if ord(text[-1]) > 0x2E7F else size / 2
    if not steps:
        return sum(size if ord(character) > 0x2E7F else size / 2 for character in text)
    return sum(steps) + (len(text) - 1 - len(steps)) * steps[-1] + last


def _deltas(delta: str | None, limit: int) -> list[float]:
    """Return at most so many distances: numbers, or `g 3 2.5` for three of the same."""
    words = iter((delta or "").split())
    found: list[float] = []
    for word in words:
        if word != "g":
            found.append(_number(word, 0.0))
            continue
        count, value = int(_number(next(words, "0"), 0.0)), _number(next(words, "0"), 0.0)
        found += [value] * max(0, min(count, limit - len(found)))
    return found[:limit]


def _numbers(text: str | None, count: int) -> list[float]:
    """Return so many numbers of a list; 0 for what is missing."""
    words = (text or "").split()[:count]
    return [_number(word, 0.0) for word in words] + [0.0] * (count - len(words))


def _number(text: str | None, default: float) -> float:
    try:
        number = float(text or default)
    except ValueError:
        return default
    return number if abs(number) < 1e6 else default


def _named(root: Element, name: str) -> Iterator[Element]:
    """Yield the elements of a name, which are in the namespace of OFD or, by some programs, in none."""
    found: Iterator[Element] = root.iter(f"{{*}}{name}")
    return found


def _text(root: Element, name: str) -> str:
    return next(((each.text or "").strip() for each in _named(root, name)), "")


def _path(part: str, target: str | None, package: Package) -> str:
    """Return the part that another one means, by its folder or, as some programs write it, from the root; else none."""
    name = (target or "").strip().replace("\\", "/")
    folders = (posixpath.dirname(part), "")
    names = (posixpath.normpath(posixpath.join("/", folder, name)).lstrip("/") for folder in folders)
    return next((each for each in names if name and each in package), "")
