"""All document formats: the readers of this package and those that other packages add, by suffix.

Whatever a reader leaves out of its declaration has its default here, and nowhere else. No format is named.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from extractor import plugins
from extractor.data import Document, FailedDocument
from extractor.errors import UsageError
from extractor.readers._support.files import File, ReadOptions
from extractor.readers._support.protocol import Reader
from extractor.readers._support.signatures import Magic, OleStream, PlainText, Signature, TextStart, ZipPackage

GROUP = "extractor.readers"


@dataclass(frozen=True, slots=True, eq=False)
class InputFormat:
    """A document format as its reader declares it (`Reader`)."""

    suffixes: tuple[str, ...]
    read: Callable[[File, ReadOptions], Iterator[Document | FailedDocument | File]]
    name: str
    signatures: tuple[Signature, ...]
    is_isolated: bool
    is_trusted: bool
    is_by_content: bool
    extra: str
    count: Callable[[File, ReadOptions], int]

    @classmethod
    def of(cls, reader: Reader) -> InputFormat:
        """Return the format that a module reads. Raises UsageError for a module that is not a reader."""
        try:
            suffixes, read = tuple(reader.SUFFIXES), reader.read
        except AttributeError as error:
            raise UsageError(f"A module of {GROUP} is not a reader: {error}. Repair it, or remove it.") from error
        return cls(
            suffixes=suffixes,
            read=read,
            name=getattr(reader, "NAME", f"a {suffixes[0]} file"),
            signatures=tuple(getattr(reader, "SIGNATURES", ())),
            is_isolated=getattr(reader, "ISOLATED", False),
            is_trusted=getattr(reader, "TRUSTED", False),
            is_by_content=getattr(reader, "BY_CONTENT", False),
            extra=getattr(reader, "EXTRA", ""),
            count=getattr(reader, "count", _one),
        )

    @property
    def is_signed(self) -> bool:
        """Whether every file of the format shows a signature: one that does not is something else."""
        return any(isinstance(each, Magic | ZipPackage | OleStream) for each in self.signatures)

    @property
    def is_exclusive(self) -> bool:
        """Whether a text that begins as the format does is never of another one."""
        return any(isinstance(each, TextStart) and each.is_exclusive for each in self.signatures)

    @property
    def is_plain_text(self) -> bool:
        return any(isinstance(each, PlainText) for each in self.signatures)


def _one(file: File, options: ReadOptions) -> int:
    return 1


@functools.cache
def formats() -> Mapping[str, InputFormat]:
    """Return all formats by suffix; those of this package come before those of others.

    Raises UsageError for an entry point that does not load.
    """
    table: dict[str, InputFormat] = {}
    for module in plugins.modules(GROUP):
        format = InputFormat.of(cast(Reader, module))
        for suffix in format.suffixes:
            table.setdefault(suffix, format)
    return table


@functools.cache
def distinct() -> tuple[InputFormat, ...]:
    """Return each format once, in the order of `formats`."""
    return tuple(dict.fromkeys(formats().values()))
