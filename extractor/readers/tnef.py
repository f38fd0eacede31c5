"""`winmail.dat`: what Outlook packs mails into for others of its kind; its text, and the attachments as documents.

The format is Microsoft's MS-OXTNEF: attributes one after the other, some of them lists of MAPI properties. The text is
the plain one, else the visible text of the HTML, else that of the RTF. Nothing that a length says is believed.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from extractor.data import Document, FailedDocument
from extractor.readers._support import media
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import MEMBERS, Budget, ReadError, damaged
from extractor.readers._support.mail_text import MailText
from extractor.readers._support.outlook import Forms, body_of, codec_of, decoded
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.signatures import Magic
from extractor.readers._support.unique_names import UniqueNames

MAGIC = b"\x78\x9f\x3e\x22"
SUFFIXES = (".tnef",)
NAME = "an Outlook package (winmail.dat)"
SIGNATURES = (Magic(MAGIC),)
ISOLATED = True
EXTRA = "docs"

NEW_ATTACHMENT, ATTACHED_DATA, ATTACHED_NAME, ATTACHED_PROPERTIES = 0x9002, 0x800F, 0x8010, 0x9005
SUBJECT, PROPERTIES, BODY, CODE_PAGE = 0x8004, 0x9003, 0x800C, 0x9007
"""Attributes: section 2.1.3 of MS-OXTNEF."""
P_SUBJECT, P_TO, P_CC, P_SENDER, P_ADDRESS = 0x0037, 0x0E04, 0x0E03, 0x0C1A, 0x0C1F
P_BODY, P_HTML, P_RTF, P_CODE_PAGE = 0x1000, 0x1013, 0x1009, 0x3FDE
P_DATA, P_SHORT_NAME, P_LONG_NAME, P_MEDIA_TYPE, P_SHOWN_NAME = 0x3701, 0x3704, 0x3707, 0x370E, 0x3001
"""Properties: MS-OXPROPS."""
TEXT8, TEXT, OBJECT, BINARY, GUID = 0x001E, 0x001F, 0x000D, 0x0102, 0x0048
SIZES = {0x0002: 4, 0x0003: 4, 0x0004: 4, 0x000A: 4, 0x000B: 4, 0x0001: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x0014: 8}
SIZES |= {0x0040: 8, GUID: 16}
"""Bytes of a value by its type; texts and binary data say theirs."""
SEVERAL, NAMED = 0x1000, 0x8000
MESSAGE_ID = bytes.fromhex("0703020000000000c000000000000046")
"""What stands before a message that is attached: the interface IMessage."""

Properties = Mapping[int, bytes | str]


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
    """Yield the text, if there is any, and the attachments. Raises OSError, ReadError where it cannot be read."""
    data = read_bytes(file, options.max_bytes)
    budget = file.budget or Budget(options.max_bytes)
    package = Package.of(data)
    attached = package.attachments()
    unread = media.unread(attached, options)
    budget.enter(len(attached))
    try:
        shown, hidden = _text_of(package, attached, options, budget)
        notes = (*hidden, *media.notes(unread, options))
        yield file.document(shown.builder.text, sha256(data).hexdigest(), None, shown.builder.segments, notes)
    except ReadError as failed:
        if not attached or failed.problem.code != "empty":
            yield file.failed(failed.problem, sha256(data).hexdigest())
    for each in attached:
        if each not in unread:
            yield file.inside(each.name, functools.partial(io.BytesIO, each.content), budget)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment: its name, its media type if that is said, and its bytes."""

    name: str
    kind: str
    content: bytes
    is_document: bool = True

    @property
    def medium(self) -> str:
        """What a note calls an attachment that holds no text to read; empty for all others."""
        return media.kind_of(self.name, self.kind)


@dataclass(slots=True)
class Attached:
    """An attachment as it is put together from its attributes."""

    title: str = ""
    data: bytes = b""
    properties: Properties = field(default_factory=dict)

    @property
    def name(self) -> str:
        found = (self.properties.get(each) for each in (P_LONG_NAME, P_SHORT_NAME, P_SHOWN_NAME))
        return next((str(name) for name in found if name), self.title).replace("/", "_").replace("\\", "_")

    @property
    def content(self) -> bytes:
        """The bytes; those of a package again where a message is attached."""
        object = self.properties.get(P_DATA, b"")
        return self.data or (object.removeprefix(MESSAGE_ID) if isinstance(object, bytes) else b"")

    def named(self, names: UniqueNames, number: int) -> Attachment:
        """Return the attachment under a name that no other has."""
        is_package = self.content.startswith(MAGIC)
        name = f"{self.name or f'message {number}'}.tnef" if is_package else self.name or f"attachment {number}"
        return Attachment(names.new(name), str(self.properties.get(P_MEDIA_TYPE) or ""), self.content)


@dataclass(slots=True)
class Package:
    """What is in a package: texts by attribute, the properties of the message, and attachments in their order."""

    codec: str | None = None
    texts: dict[int, str] = field(default_factory=dict)
    properties: dict[int, bytes | str] = field(default_factory=dict)
    attached: list[Attached] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> Package:
        """Take a package apart. Raises ReadError where it is cut off, or holds too many attachments."""
        package = cls()
        for attribute, value in _attributes(data):
            if attribute == CODE_PAGE:
                package.codec = codec_of(int.from_bytes(value[:4], "little"))
            elif attribute in (SUBJECT, BODY):
                package.texts[attribute] = decoded(value, package.codec)
            elif attribute == PROPERTIES:
                package.properties |= _properties(value, package.codec)
            elif attribute == NEW_ATTACHMENT and len(package.attached) < MEMBERS:
                package.attached.append(Attached())
            elif package.attached:
                package._add_to_attachment(attribute, value)
        return package

    def _add_to_attachment(self, attribute: int, value: bytes) -> None:
        attached = self.attached[-1]
        if attribute == ATTACHED_NAME:
            attached.title = decoded(value, self.codec)
        elif attribute == ATTACHED_DATA:
            attached.data = value
        elif attribute == ATTACHED_PROPERTIES:
            attached.properties = _properties(value, self.codec)

    def attachments(self) -> list[Attachment]:
        """Return the attachments, no two of them by the same name."""
        names = UniqueNames()
        numbered = enumerate(self.attached, 1)
        return [each.named(names, number) for number, each in numbered if each.content or each.name]

    def text(self, property: int) -> str:
        """Return a property that is text; empty where there is none."""
        found = self.properties.get(property, "")
        return found.strip() if isinstance(found, str) else ""

    def binary(self, property: int) -> bytes:
        """Return a property that is binary data, or text in UTF-8; empty where there is none."""
        found = self.properties.get(property, b"")
        return found.encode("utf-8", "surrogatepass") if isinstance(found, str) else found


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes: each is a level, a number, a type, a length, the data and a checksum."""
    at = len(MAGIC) + 2
    while at + 9 <= len(data):
        attribute, _, length = struct.unpack_from("<HHI", data, at + 1)
        end = at + 9 + length
        if end > len(data):
            raise damaged("Outlook package", "an attribute is longer than the file")
        yield attribute, data[at + 9 : end]
        at = end + 2


def _properties(data: bytes, codec: str | None) -> dict[int, bytes | str]:
    """Return the properties of a list, as far as it can be read: of several values of one the first."""
    found: dict[int, bytes | str] = {}
    stream = io.BytesIO(data)
    try:
        for _ in range(_number(stream)):
            kind, name = struct.unpack("<HH", _take(stream, 4))
            if name >= NAMED:
                _skip_name(stream)
            for value in _values(stream, kind):
                found.setdefault(name, _decoded(value, kind & ~SEVERAL, codec))
    except (EOFError, KeyError):  # cut off, or a type that nobody knows the length of
        pass
    return found


def _skip_name(stream: io.BytesIO) -> None:
    """Skip the name of a property: a GUID, and a number or a text."""
    _take(stream, 16)
    if _number(stream):
        _padded(stream)
    else:
        _take(stream, 4)


def _values(stream: io.BytesIO, kind: int) -> Iterator[bytes]:
    """Yield the values of a property. Raises EOFError at the end of the data, KeyError for an unknown type."""
    single = kind & ~SEVERAL
    has_length = single in (TEXT8, TEXT, OBJECT, BINARY)
    for _ in range(_number(stream) if kind & SEVERAL or has_length else 1):
        yield _padded(stream) if has_length else _take(stream, SIZES[single])


def _padded(stream: io.BytesIO) -> bytes:
    """Return data that says its length, and skip what fills it up to four bytes."""
    length = _number(stream)
    data = _take(stream, length)
    stream.read(-length % 4)
    return data


def _number(stream: io.BytesIO) -> int:
    return int.from_bytes(_take(stream, 4), "little")


def _take(stream: io.BytesIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _decoded(value: bytes, kind: int, codec: str | None) -> bytes | str:
    if kind == TEXT:
        return SURROGATE.sub("\ufffd", value.decode("utf-16-le", "replace")).rstrip("\0")
    return decoded(value, codec) if kind == TEXT8 else value


def _text_of(
    package: Package, attached: Sequence[Attachment], options: ReadOptions, budget: Budget
) -> tuple[MailText, tuple[str, ...]]:
    """Return the text, and notes on what is hidden in it. Raises ReadError where there is none."""
    shown = MailText()
    address = package.text(P_ADDRESS)
    sender = package.text(P_SENDER)
    shown.add_header("From", f"{sender} <{address}>" if sender and "@" in address else sender or address)
    shown.add_header("To", package.text(P_TO))
    shown.add_header("Cc", package.text(P_CC))
    shown.add_header("Subject", package.text(P_SUBJECT) or package.texts.get(SUBJECT, "").strip())
    body = body_of(_forms(package), options, budget)
    shown.add_body(body.text, "body", body.kind)
    shown.check()
    for number, each in enumerate(attached, 1):
        shown.add_attachment(each.name, f"attachment {number}", each.kind)
    return shown, body.notes


def _forms(package: Package) -> Forms:
    codec = codec_of(int.from_bytes(package.binary(P_CODE_PAGE)[:4], "little"))
    plain = package.text(P_BODY) or package.texts.get(BODY, "")
    return Forms(plain, package.binary(P_HTML), codec, package.binary(P_RTF))
