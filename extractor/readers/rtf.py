"""RTF: the text of a document, its headers first, its footers and notes last; what is hidden is left out."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from extractor.data import Document
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.rtf_text import RtfParser
from extractor.readers._support.signatures import Magic

SUFFIXES = (".rtf",)
NAME = "an RTF document"
SIGNATURES = (Magic(b"{\\rtf", skip=b"\xef\xbb\xbf \t\r\n"),)
ISOLATED = True


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    parser = RtfParser(show_hidden=options.hidden)
    parser.feed(data)
    if not parser.is_complete:
        raise damaged("RTF document", "a group is not closed")
    text = SURROGATE.sub("\ufffd", parser.text).strip("\n")
    if not text.strip():
        raise ReadError("empty", "no text: the document holds only white space or pictures (what is hidden: --hidden)")
    encoding = parser.code_page + (f" ({parser.broken} broken bytes read as U+FFFD)" if parser.broken else "")
    notes = left_out(counted(parser.hidden, "hidden character"))
    yield file.document(text, sha256(data).hexdigest(), encoding, notes=notes)
