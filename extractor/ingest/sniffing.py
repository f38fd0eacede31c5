"""What a file holds, told by its content: a suffix is a claim, and this is what it is checked against.

Signatures are declared by the readers. Here are the containers in which they occur (ZIP, OLE), and the formats that no
reader claims, with advice what to do about them. All else is plain text, or bytes of an unknown kind.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from extractor.encodings.detect import Decoded, Undecodable, magic, sniff
from extractor.errors import Code
from extractor.ingest.registry import InputFormat, distinct, formats
from extractor.readers._support.files import File, read_up_to
from extractor.readers._support.limits import DAMAGE
from extractor.readers._support.signatures import OLE, ZIP, Magic, OleStream, TextStart, ZipPackage

HEAD_BYTES = 8192
OLE_BYTES = 64 << 20
"""Of a compound file, whose directory may be anywhere in it."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, in words, and the format of such files. Without one, `code` and `advice` say why it cannot be
    read, and what to do."""

    name: str
    format: InputFormat | None = None
    advice: str = "leave it out"
    code: Code = "unsupported"

    @classmethod
    def of(cls, format: InputFormat) -> Content:
        """Return the content that a reader reads."""
        return cls(format.name, format)

    @property
    def is_exclusive(self) -> bool:
        """Whether a file of another format cannot begin so."""
        return self.format is not None and self.format.is_exclusive

    @property
    def is_isolated(self) -> bool:
        """Whether it is to be looked into in a process of its own."""
        return self is OLD_OFFICE or (self.format is not None and self.format.is_isolated)

    @property
    def may_be_text(self) -> bool:
        """Whether nothing but text can come of it, if anything does."""
        return self in (EMPTY, UNKNOWN) or (self.format is not None and self.format.is_plain_text)


EMPTY = Content("nothing at all")
UNKNOWN = Content("data of an unknown kind")
TAR = Content("a tar archive", advice="unpack it and give the folder")
OLD_OFFICE = Content("an old Office document", advice="save it in a format of today and run again")

MIMETYPE, MIMETYPE_BYTES = "mimetype", 256
SAVE_AS = "save it as {} and run again"
TYPES = "[Content_Types].xml"
UNREAD_PACKAGES = (
    (ZipPackage(("mimetype", "content.xml")), Content("an OpenDocument file", advice=SAVE_AS.format(".pdf"))),
    (ZipPackage(("META-INF/MANIFEST.MF",)), Content("a Java archive")),
)
LOCKED = "it is encrypted: give it the suffix of its program, such as .docx or .xlsx, and its password with --password"
UNREAD_STREAMS = (
    (OleStream("EncryptedPackage"), Content("an encrypted Office document", advice=LOCKED, code="locked")),
)


def identify(file: File) -> Content:
    """Return what the file holds. Raises OSError where it cannot be opened."""
    with file.open() as stream:
        head = read_up_to(stream, HEAD_BYTES)
        if head.startswith(ZIP):
            stream.seek(0)
            return _in_zip(stream, by_head(head, file.suffix), file.suffix)
        if head.startswith(OLE):
            return _in_ole(head + read_up_to(stream, OLE_BYTES), file.suffix)
        return by_head(head, file.suffix)


def by_head(head: bytes, suffix: str = "") -> Content:
    """Return what the first bytes of a file tell, without a look into containers.

    Where several formats claim the same bytes, the one of the suffix comes first.
    """
    if not head:
        return EMPTY
    if found := _by_magic(head, suffix):
        return Content.of(found)
    if head.startswith(OLE):
        return OLD_OFFICE
    if name := magic(head):
        return Content(name)
    return TAR if head[257:262] == b"ustar" else _by_text(head)


def _by_magic(head: bytes, suffix: str) -> InputFormat | None:
    """Return the format whose bytes come first: an archive may begin with a stored PDF, after its own header."""
    magics = [(each, format) for format in distinct() for each in format.signatures if isinstance(each, Magic)]
    offsets = [(offset, format) for each, format in magics if (offset := each.find(head)) >= 0]
    first = min((offset for offset, _ in offsets), default=0)
    claims = [format for offset, format in offsets if offset == first]
    return _of_suffix(claims, suffix) or next(iter(claims), None)


def _by_text(head: bytes) -> Content:
    """Return the text format; those that show by how they begin, such as HTML and mail, even in an unclear encoding."""
    found = sniff(head)
    if isinstance(found, Undecodable) and found.code != "encoding":
        return _plain_text() if found.code == "empty" else UNKNOWN
    text = found.text if isinstance(found, Decoded) else head.decode("latin-1")
    if format := next(_by_beginning(text), None):
        return Content.of(format)
    return _plain_text() if isinstance(found, Decoded) else UNKNOWN


def _by_beginning(text: str) -> Iterator[InputFormat]:
    for format in distinct():
        if any(isinstance(each, TextStart) and each.matches(text) for each in format.signatures):
            yield format


def _plain_text() -> Content:
    return next((Content.of(format) for format in distinct() if format.is_plain_text), UNKNOWN)


def _in_zip(stream: BinaryIO, archive: Content, suffix: str) -> Content:
    """Return what kind of ZIP it is; one whose directory is lost is taken for what its suffix says."""
    try:
        with zipfile.ZipFile(stream) as opened:
            names = opened.namelist()
            mimetype = _mimetype(opened)
    except (*DAMAGE, NotImplementedError, ValueError, RuntimeError):  # zipfile raises that for an encrypted member
        own = formats().get(suffix)
        return Content("a damaged ZIP archive", own if own and _is_zip(own) else archive.format)
    claims = (format for format in distinct() if any(each.matches(names, mimetype) for each in _packages(format)))
    if found := _only(list(claims), suffix):
        return Content.of(found)
    return next((content for package, content in UNREAD_PACKAGES if package.matches(names, mimetype)), archive)


def _mimetype(archive: zipfile.ZipFile) -> str:
    """Return what an archive says it is, as OpenDocument files and books do; empty for others."""
    if MIMETYPE not in archive.NameToInfo:
        return ""
    with archive.open(MIMETYPE) as stream:
        return stream.read(MIMETYPE_BYTES).decode("ascii", "replace").strip()


def _packages(format: InputFormat) -> list[ZipPackage]:
    return [each for each in format.signatures if isinstance(each, ZipPackage)]


def _is_zip(format: InputFormat) -> bool:
    return bool(_packages(format)) or Magic(ZIP[0]) in format.signatures


def _in_ole(data: bytes, suffix: str) -> Content:
    """Return what kind of compound file it is, by the streams that it names."""
    streams = {format: [each for each in format.signatures if isinstance(each, OleStream)] for format in distinct()}
    claims = [format for format, each in streams.items() if any(stream.occurs_in(data) for stream in each)]
    if found := _only(claims, suffix):
        return Content.of(found)
    return next((content for stream, content in UNREAD_STREAMS if stream.occurs_in(data)), OLD_OFFICE)


def _only(claims: Sequence[InputFormat], suffix: str) -> InputFormat | None:
    """Return the format of the suffix if it is among those that claim the content, or the only one that does."""
    return _of_suffix(claims, suffix) or (claims[0] if len(claims) == 1 else None)


def _of_suffix(claims: Sequence[InputFormat], suffix: str) -> InputFormat | None:
    return next((format for format in claims if suffix in format.suffixes), None)
