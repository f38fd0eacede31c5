"""How a format shows in the content of a file. A reader declares its own; `ingest.sniffing` looks for all of them.

Knows no format: which bytes, members or words are whose is said by the readers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""A local file header, and the end of an empty archive (section 4.3 of PKWARE's APPNOTE)."""
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The header of a compound file (section 2.2 of Microsoft's MS-CFB), which holds what Office wrote before 2007."""


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes with which every file begins: `prefix`, after any number of bytes in `skip` and at most `within` others."""

    prefix: bytes
    within: int = 0
    skip: bytes = b""

    def find(self, head: bytes) -> int:
        """Return the offset of the bytes in the head of a file; -1 where they are not found."""
        start = len(head) - len(head.lstrip(self.skip))
        return head.find(self.prefix, start, start + self.within + len(self.prefix))


@dataclass(frozen=True, slots=True)
class ZipPackage:
    """A ZIP archive with a member for each name in `members` (or below it, for `word/`), and none for `without`.

    One that has a member `mimetype` says there that it is a `mimetype`, where the format has one.
    """

    members: tuple[str, ...]
    without: str = ""
    mimetype: str = ""

    def matches(self, names: Collection[str], mimetype: str = "") -> bool:
        """Return whether an archive with members of these names, and of a mimetype if it has one, is of the format."""
        if self.mimetype and mimetype and not mimetype.startswith(self.mimetype):
            return False
        found = all(any(name.startswith(member) for name in names) for member in self.members)
        return found and not (self.without and any(name.startswith(self.without) for name in names))


@dataclass(frozen=True, slots=True)
class OleStream:
    """An OLE compound file with a stream of this name, in capitals or not. Its directory holds names in UTF-16."""

    name: str

    def occurs_in(self, data: bytes) -> bool:
        """Return whether the bytes of a compound file name the stream."""
        return f"{self.name}\0".lower().encode("utf-16-le") in data.lower()


@dataclass(frozen=True, slots=True)
class TextStart:
    """Text whose beginning `matches`. A file of the format need not show it, because people write such text by hand.

    `is_exclusive`: no text of another format begins so, and a file that does and has another suffix is mislabelled.
    """

    matches: Callable[[str], bool]
    is_exclusive: bool = False


@dataclass(frozen=True, slots=True)
class PlainText:
    """Text that begins as that of no other format."""


Signature = Magic | ZipPackage | OleStream | TextStart | PlainText
