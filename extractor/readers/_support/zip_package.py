"""A document that is a ZIP of XML, of any maker: its sizes are checked before a part of it is read."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from hashlib import sha256

from extractor.readers._support.files import File, ReadOptions, read_bytes, too_large
from extractor.readers._support.limits import DAMAGE, DOCUMENTS, RATIO, RATIO_FROM, Bomb, ReadError, damaged
from extractor.readers._support.xml_tree import Element, parse

PART = 4
"""How many of the largest documents (`max_bytes`) one part may unpack to: its tree takes some ten times as much."""
BROKEN = (*DAMAGE, NotImplementedError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Package:
    """The parts of a document, called `what` in messages; `limit` is that of `--max-bytes`."""

    archive: zipfile.ZipFile
    sha256: str
    what: str
    limit: int

    def __contains__(self, name: object) -> bool:
        return name in self.archive.NameToInfo

    def bytes(self, name: str) -> bytes:
        """Return a part. Raises ReadError where it is missing, damaged or too large."""
        if name not in self:
            raise damaged(self.what, f"{name} is missing")
        if self.archive.getinfo(name).file_size > PART * self.limit:
            raise ReadError("too-large", too_large(f"{name} of the {self.what}", PART * self.limit))
        try:
            return self.archive.read(name)
        except BROKEN as error:
            raise damaged(self.what, error) from error
        except RuntimeError as error:  # what zipfile raises for an encrypted member
            raise ReadError("locked", f"the {self.what} is encrypted: save it unlocked") from error

    def xml(self, name: str) -> Element:
        """Return the root of a part. Raises ReadError."""
        return parse(self.bytes(name), self.what)


def open_package(file: File, what: str, options: ReadOptions) -> Package:
    """Open a file. Raises OSError where it cannot be opened, ReadError where it is damaged or unpacks to too much."""
    data = read_bytes(file, options.max_bytes)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except BROKEN as error:
        raise damaged(what, error) from error
    check_sizes(archive, len(data), DOCUMENTS * options.max_bytes)
    return Package(archive, sha256(data).hexdigest(), what, options.max_bytes)


def check_sizes(archive: zipfile.ZipFile, packed: int, limit: int) -> None:
    """Raise Bomb where an archive of so many bytes unpacks to too many; more than it declares does not come of it."""
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > limit or unpacked > max(RATIO_FROM, RATIO * packed):
        raise Bomb(f"the file unpacks to {unpacked:,} bytes")
