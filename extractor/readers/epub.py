"""EPUB books: the chapters in the order of the spine, each as HTML is read. Pages are not what a file knows."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote

from extractor.data import Document
from extractor.encodings.detect import Undecodable
from extractor.readers._support import html_text
from extractor.readers._support.files import File, ReadOptions, too_large
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import ZipPackage
from extractor.readers._support.xml_tree import Element, attribute, name_of
from extractor.readers._support.zip_package import Package, open_package

SUFFIXES = (".epub",)
NAME = "an EPUB book"
SIGNATURES = (ZipPackage(("META-INF/container.xml",), mimetype="application/epub+zip"),)
ISOLATED = True
EXTRA = "docs"
CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "")


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the book as one document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    package = open_package(file, "EPUB book", options)
    chapters = _chapters(package)
    locked = _encrypted(package)
    builder = TextBuilder()
    missing, left_out_of_pages = 0, Counter[str]()
    for number, name in enumerate(dict.fromkeys(chapters), 1):
        if name in locked:
            raise ReadError("locked", "the book is protected (DRM): get it without")
        missing += name not in package
        page = _page(package, name, options) if name in package else html_text.Rendered("")
        left_out_of_pages.update(page.left_out)
        if page.text.strip():
            builder.add_line(page.text, {"chapter": number})
        if len(builder) > options.max_bytes:
            raise ReadError("too-large", too_large("the text of the book", options.max_bytes))
    if not builder.text.strip():
        raise ReadError("empty", "no text: the chapters of the book are pictures, or there are none")
    left_out_of_pages["chapter that is not in the file"] = missing
    notes = left_out(*(counted(count, what) for what, count in left_out_of_pages.items()))
    yield file.document(builder.text, package.sha256, segments=builder.segments, notes=notes)


def _chapters(package: Package) -> list[str]:
    """Return the names of the parts that are read one after the other, whatever of them is in the file."""
    roots = (attribute(each, "full-path") for each in package.xml(CONTAINER).iter("{*}rootfile"))
    book = next(filter(None, roots), None)
    if book is None:
        raise damaged(package.what, "it does not say which part is the book")
    root = package.xml(book)
    items = {attribute(each, "id"): each for each in root.iter("{*}item")}
    order = (items.get(attribute(each, "idref")) for each in root.iter("{*}itemref"))
    return [_path(book, each) for each in order if each is not None and attribute(each, "media-type") in PAGES]


def _path(book: str, item: Element) -> str:
    target = unquote((attribute(item, "href") or "").partition("#")[0])
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(book), target)).lstrip("/")


def _encrypted(package: Package) -> frozenset[str]:
    """Return the parts that are encrypted; fonts often are, against copying."""
    if ENCRYPTION not in package:
        return frozenset()
    references = (each for each in package.xml(ENCRYPTION).iter() if name_of(each) == "CipherReference")
    return frozenset(unquote(attribute(each, "URI") or "") for each in references)


def _page(package: Package, name: str, options: ReadOptions) -> html_text.Rendered:
    decoded = html_text.decode(package.bytes(name))
    if isinstance(decoded, Undecodable):
        raise ReadError(decoded.code, f"{name}: {decoded.message}")
    return html_text.render(decoded.text, hidden=options.hidden)
