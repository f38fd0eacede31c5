"""What a reader is: the shape of a module in `extractor.readers`, and of one that another package adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from extractor.data import Document, FailedDocument
from extractor.readers._support.files import File, ReadOptions


class Reader(Protocol):
    """A module that reads one document format.

    It must have the two members below. What it leaves out of the following has the default:

    `NAME = "a .pdf file"`: the format as messages call it, with its article.
    `SIGNATURES = ()`: how the format shows in the content of a file (`_support.signatures`). A file without a known
    suffix is read by them; a file of a format with `Magic`, `ZipPackage` or `OleStream` must show one of them.
    `ISOLATED = False`: whether a file is read in a process of its own: for all that goes through a parser.
    `TRUSTED = False`: whether the suffix is believed whatever the content shows.
    `BY_CONTENT = False`: whether a file of the suffix that shows another format is read as that: much calls itself
    `.xls` that is a web page or text.
    `EXTRA = ""`: the extra of this distribution that brings the packages which `read` imports.
    `count(file, options) -> int`: about how many documents a file holds, for progress; without it, one. Raises OSError.
    """

    @property
    def SUFFIXES(self) -> tuple[str, ...]:
        """The suffixes of such files, with the dot, in lower case; the usual one first."""
        ...

    def read(self, file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
        """Yield the documents of a file, and a File for each file inside it, which is then read in turn.

        Raises OSError where the file cannot be opened and ReadError where it cannot be read. Optional packages are
        imported inside.
        """
        ...
