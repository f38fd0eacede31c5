"""HTML: the visible text of a page, in the encoding that it declares or, if that cannot be, the one that it is in."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from extractor.data import Document
from extractor.encodings.detect import Undecodable
from extractor.readers._support import html_text
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError

SUFFIXES = (".html", ".htm", ".xhtml")
ISOLATED = True


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """The page as one document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    decoded = html_text.decode(data)
    if isinstance(decoded, Undecodable):
        raise ReadError(decoded.code, decoded.message)
    text = html_text.visible_text(decoded.text)
    if not text.strip():
        raise ReadError("empty", "no text: nothing on the page is visible without running its scripts")
    yield file.document(text, sha256(data).hexdigest(), decoded.encoding)
