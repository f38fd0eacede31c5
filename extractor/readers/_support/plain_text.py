"""A file as one text, its characters as they are: what plain text is, and any format that is read whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from extractor.data import Document, FailedDocument
from extractor.encodings.detect import Undecodable, decode
from extractor.readers._support.files import File, ReadOptions, read_bytes


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the file as one document. Raises OSError where it cannot be opened, ReadError where it is too large."""
    yield from_bytes(file, read_bytes(file, options.max_bytes))


def from_bytes(file: File, data: bytes) -> Document | FailedDocument:
    """Return the document of a file whose bytes have been read."""
    sha256 = hashlib.sha256(data).hexdigest()
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        return file.failed(decoded, sha256)
    return file.document(decoded.text, sha256, decoded.encoding)
