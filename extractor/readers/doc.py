"""Word before 2007, and WPS: converted by LibreOffice, where it is installed, and read as a Word document."""

from __future__ import annotations

from collections.abc import Iterator

from extractor.data import Document, FailedDocument
from extractor.readers import docx
from extractor.readers._support import libreoffice
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.signatures import OleStream

SUFFIXES = (".doc", ".dot", ".wps", ".wpt")
NAME = "an old Word document"
SIGNATURES = (OleStream("WordDocument"),)
BY_CONTENT = True
ISOLATED = True
EXTRA = "docs"


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    return libreoffice.read_as(".docx", docx.read, file, options)
