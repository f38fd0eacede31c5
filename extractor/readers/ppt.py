"""PowerPoint before 2007, and WPS: converted by LibreOffice, where it is installed, and read as a presentation."""

from __future__ import annotations

from collections.abc import Iterator

from extractor.data import Document, FailedDocument
from extractor.readers import pptx
from extractor.readers._support import libreoffice
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.signatures import OleStream, ZipPackage

SUFFIXES = (".ppt", ".pps", ".pot", ".dps", ".dpt", ".odp", ".otp")
NAME = "an old PowerPoint presentation"
PRESENTATION = "application/vnd.oasis.opendocument.presentation"
SIGNATURES = (OleStream("PowerPoint Document"), ZipPackage(("content.xml",), mimetype=PRESENTATION))
BY_CONTENT = True
ISOLATED = True
EXTRA = "docs"


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    return libreoffice.read_as(".pptx", pptx.read, file, options)
