"""HTML: the visible text of a page, in the encoding that it declares or, where that is wrong, in the one detected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

from extractor.data import Document
from extractor.encodings.detect import Undecodable
from extractor.readers._support import html_text
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError
from extractor.readers._support.signatures import TextStart

BEFORE_MARKUP = r"(?:\s++|<!--.*?(?:-->|\Z)|<\?xml.*?(?:\?>|\Z))*+"  # possessive: nothing is tried twice
MARKUP = re.compile(BEFORE_MARKUP + r"<(?:!doctype\s+html|(?:html|head|body|title|meta|table|div|p)[\s>])", re.I | re.S)

SUFFIXES = (".html", ".htm", ".xhtml")
NAME = "an HTML page"
SIGNATURES = (TextStart(lambda text: MARKUP.match(text) is not None, is_exclusive=True),)
ISOLATED = True
EXTRA = "docs"


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the page as one document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    decoded = html_text.decode(data)
    if isinstance(decoded, Undecodable):
        raise ReadError.of(decoded)
    page = html_text.render(decoded.text, hidden=options.hidden)
    if not page.text.strip():
        message = "nothing on the page is visible without running its scripts (what is hidden: --hidden)"
        raise ReadError("empty", f"no text: {message}")
    yield file.document(page.text, sha256(data).hexdigest(), decoded.encoding, notes=page.notes)
