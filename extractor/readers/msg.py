"""Mail of Outlook: as in `eml`, the headers that people read, the text, and attachments as documents of their own.

The text is the plain one, else the visible text of the HTML, else that of the RTF. A message is a tree of properties in
a compound file (Microsoft's MS-OXMSG); one attached to another is a branch of the same tree.
"""

from __future__ import annotations

import datetime
import functools
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO

from extractor.data import Document, FailedDocument
from extractor.readers._support import media
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import NESTING, Budget, ReadError, damaged
from extractor.readers._support.mail_text import MailText
from extractor.readers._support.outlook import Body, Forms, body_of, codec_of, decoded
from extractor.readers._support.signatures import OleStream
from extractor.readers._support.unique_names import UniqueNames

if TYPE_CHECKING:
    from olefile import OleFileIO

SUFFIXES = (".msg", ".oft")
NAME = "an Outlook message"
SIGNATURES = (OleStream("__properties_version1.0"),)
ISOLATED = True
EXTRA = "docs"

TEXT, TEXT8, BINARY, OBJECT = 0x001F, 0x001E, 0x0102, 0x000D
STORAGE = 1  # the type of an entry in section 2.6.1 of MS-CFB
STREAM = "__substg1.0_"
PROPERTIES = "__properties_version1.0"
SUBJECT, HEADERS, SENT, DELIVERED, BODY, RTF, HTML = 0x0037, 0x007D, 0x0039, 0x0E06, 0x1000, 0x1009, 0x1013
SENDER_NAME, SENDER_ADDRESS, SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
RECIPIENT_TYPE, NAME_SHOWN, ADDRESS, SMTP_ADDRESS = 0x0C15, 0x3001, 0x3003, 0x39FE
DATA, SHORT_NAME, LONG_NAME, MEDIA_TYPE, CONTENT_ID = 0x3701, 0x3704, 0x3707, 0x370E, 0x3712
PLACE, NO_PLACE, FLAGS, RENDERED_IN_BODY = 0x370B, 0xFFFFFFFF, 0x3714, 4
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".wmf", ".emf")
TEXT_CODE_PAGE, MESSAGE_CODE_PAGE = 0x3FDE, 0x3FFD
RECIPIENTS = {1: "To", 2: "Cc", 3: "Bcc"}
DATE = re.compile(r"^Date:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
LATEST = 2_650_467_744_000_000_000  # the year 10000, in steps of 100 ns
EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
BROKEN = (OSError, IndexError, ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError)
"""What olefile raises for files that are not as it expects them."""


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
    """Yield the mail, then its attachments. Raises OSError where the file cannot be opened, ReadError otherwise."""
    import olefile

    data = read_bytes(file, options.max_bytes)
    budget = file.budget or Budget(options.max_bytes)
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            yield from _message(file, Branch.root(ole), sha256(data).hexdigest(), budget, options)
    except BROKEN as error:
        raise damaged("Outlook message", error) from error


@dataclass(frozen=True, slots=True)
class Branch:
    """A storage of the compound file, and what is in it; `header` is how long that of its list of properties is."""

    ole: OleFileIO
    path: tuple[str, ...]
    entry: Any
    header: int
    code_page: int = 0

    @classmethod
    def root(cls, ole: OleFileIO) -> Branch:
        """Return the message itself."""
        return cls(ole, (), ole.root, 32)._in_its_code_page()

    def _in_its_code_page(self) -> Branch:
        numbers = map(self.number, (MESSAGE_CODE_PAGE, TEXT_CODE_PAGE))
        return replace(self, code_page=next((number for number in numbers if number), self.code_page))

    def below(self, prefix: str, header: int = 8) -> list[Branch]:
        """Return the storages in it whose name begins so."""
        kids = [kid for kid in self.entry.kids if kid.entry_type == STORAGE and kid.name.startswith(prefix)]
        return [Branch(self.ole, (*self.path, kid.name), kid, header, self.code_page) for kid in kids]

    def message(self) -> Branch | None:
        """Return the message that an attachment is, if it is one."""
        found = self.below(f"{STREAM}{DATA:04X}{OBJECT:04X}", header=24)
        return found[0]._in_its_code_page() if found else None

    def stream(self, name: str) -> bytes:
        """Return a stream in it; nothing where it has none of the name."""
        if not any(kid.name == name and kid.entry_type != STORAGE for kid in self.entry.kids):
            return b""
        with self.ole.openstream([*self.path, name]) as stream:
            return bytes(stream.read())

    def binary(self, property: int) -> bytes:
        return self.stream(f"{STREAM}{property:04X}{BINARY:04X}")

    def text(self, property: int) -> str:
        """Return a property that is text: in UTF-16, else in the code page of the message, else in the one detected."""
        if wide := self.stream(f"{STREAM}{property:04X}{TEXT:04X}"):
            return wide.decode("utf-16-le", "replace").strip("\0")
        return decoded(self.stream(f"{STREAM}{property:04X}{TEXT8:04X}"), codec_of(self.code_page))

    def number(self, property: int) -> int:
        """Return a property of four bytes; 0 where there is none."""
        return int.from_bytes(self._value(property)[:4], "little")

    def moment(self, property: int) -> datetime.datetime | None:
        """Return a property that is a time, which is in UTC."""
        ticks = int.from_bytes(self._value(property), "little")
        return EPOCH + datetime.timedelta(microseconds=ticks // 10) if 0 < ticks < LATEST else None

    def _value(self, property: int) -> bytes:
        listed = self.stream(PROPERTIES)
        for at in range(self.header, len(listed) - 15, 16):
            if int.from_bytes(listed[at + 2 : at + 4], "little") == property:
                return listed[at + 8 : at + 16]
        return b""


def _message(
    file: File, message: Branch, digest: str, budget: Budget, options: ReadOptions
) -> Iterator[Document | FailedDocument | File]:
    """Yield a message and its attachments, among them messages with theirs."""
    if file.depth > NESTING:
        raise ReadError("bomb", f"messages in messages more than {NESTING} deep: save the inner ones as files")
    attached = _attachments(message)
    unread = media.unread(attached, options)
    budget.enter(len(attached))
    try:
        body = body_of(_forms(message), options, budget)
        shown = _text_of(message, attached, body)
        notes = *body.notes, *media.notes(unread, options)
        yield file.document(shown.builder.text, digest, segments=shown.builder.segments, notes=notes)
    except ReadError as failed:
        yield file.failed(failed.problem, digest)
    for each in attached:
        inner = each.branch.message()
        if inner:
            yield from _message(file.inside(each.name, file.open, budget), inner, digest, budget, options)
        elif each.is_document and each not in unread:
            yield file.inside(each.name, functools.partial(_open, each.branch), budget)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment: its name, its media type, and whether it is a document, as pictures in the text are not."""

    branch: Branch
    name: str
    kind: str
    is_document: bool

    @property
    def medium(self) -> str:
        """What a note calls an attachment that holds no text to read; empty for all others."""
        return media.kind_of(self.name, self.kind)


def _attachments(message: Branch) -> list[Attachment]:
    names = UniqueNames()
    found = []
    for number, branch in enumerate(message.below("__attach_version1.0_#"), 1):
        kind = branch.text(MEDIA_TYPE) or "application/octet-stream"
        is_message = branch.message() is not None
        name = branch.text(LONG_NAME) or branch.text(SHORT_NAME) or branch.text(NAME_SHOWN) or f"attachment {number}"
        name = name.replace("/", "_").replace("\\", "_")
        name = names.new(f"{name}.msg" if is_message and not name.lower().endswith(".msg") else name)
        found.append(Attachment(branch, name, kind, is_message or not _is_in_text(branch, kind)))
    return found


def _is_in_text(branch: Branch, kind: str) -> bool:
    """Tell whether a picture belongs to the text: HTML names it, or RTF has a place for it."""
    is_placed = 0 < branch.number(PLACE) < NO_PLACE or branch.number(FLAGS) & RENDERED_IN_BODY
    is_picture = kind.startswith("image/") or branch.text(LONG_NAME).lower().endswith(PICTURES)
    return is_picture and bool(is_placed or branch.text(CONTENT_ID))


def _open(branch: Branch) -> BinaryIO:
    return io.BytesIO(branch.binary(DATA))


def _text_of(message: Branch, attached: list[Attachment], body: Body) -> MailText:
    shown = MailText()
    shown.add_header("From", _from(message))
    recipients = message.below("__recip_version1.0_#")
    for number, header in RECIPIENTS.items():
        people = [_person(each) for each in recipients if (each.number(RECIPIENT_TYPE) & 0xF or 1) == number]
        shown.add_header(header, ", ".join(people))
    shown.add_header("Date", _date(message))
    shown.add_header("Subject", message.text(SUBJECT).strip())
    shown.add_body(body.text, "body", body.kind)
    for number, each in enumerate(attached, 1):
        shown.add_attachment(each.name, f"attachment {number}", each.kind)
    shown.check()
    return shown


def _from(message: Branch) -> str:
    address = message.text(SENDER_SMTP) or message.text(SENDER_ADDRESS)
    return _with_address(message.text(SENDER_NAME), address)


def _person(recipient: Branch) -> str:
    return _with_address(recipient.text(NAME_SHOWN), recipient.text(SMTP_ADDRESS) or recipient.text(ADDRESS))


def _with_address(name: str, address: str) -> str:
    """Return both, as a mail shows them; an address inside an organization (X.500) is not one that people know."""
    name, address = name.strip().strip("'"), address.strip()
    if "@" not in address or address == name:
        return name or address
    return f"{name} <{address}>" if name else address


def _date(message: Branch) -> str:
    """Return when it was sent: as its header says, in the zone of who sent it, else in UTC."""
    if found := DATE.search(message.text(HEADERS)):
        return found[1].strip()
    moment = message.moment(SENT) or message.moment(DELIVERED)
    return format_datetime(moment) if moment else ""


def _forms(message: Branch) -> Forms:
    html, codec = message.binary(HTML), codec_of(message.number(TEXT_CODE_PAGE))
    if not html:
        html, codec = message.text(HTML).encode("utf-8", "surrogatepass"), "utf-8"
    return Forms(message.text(BODY), html, codec, message.binary(RTF))
