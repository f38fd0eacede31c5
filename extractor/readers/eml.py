"""Mail: the headers that people read, the text, and a list of attachments, which are documents of their own.

Of a text in two forms the plain one is taken, else the visible text of the HTML. Signatures are only listed, and so are
recordings and pictures, which a note names; attached pictures are documents where OCR is on. Mail often declares no
encoding or a wrong one: see `encodings.declared`.
"""

from __future__ import annotations

import email
import functools
import io
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError, MessageError
from email.generator import BytesGenerator
from email.header import decode_header
from email.message import Message
from hashlib import sha256
from typing import Any, BinaryIO, TypeAlias, cast

from extractor.data import Document, FailedDocument
from extractor.encodings import declared
from extractor.encodings.detect import Decoded, Undecodable
from extractor.readers._support import html_text, media
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.mail_text import MailText
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import TextStart
from extractor.readers._support.unique_names import UniqueNames

HEADER_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t\r]|[ \t]")
WRITTEN = frozenset("from to cc bcc subject date sender reply-to".split())
TRANSPORT = frozenset(
    "received return-path message-id mime-version content-type delivered-to x-mailer x-original-to".split()
)


def looks_like_mail(text: str) -> bool:
    """Return whether a text begins with the headers of a mail that was sent: a memo has From, To and Subject, too."""
    names = set()
    lines = text.lstrip("\ufeff\r\n").splitlines()
    for line in lines[1:] if text.startswith("From ") else lines:  # mbox files begin with a line "From sender date"
        found = HEADER_LINE.match(line + " ")
        if not found:
            break
        names.add((found[1] or "").lower())
    return bool(names & WRITTEN) and bool(names & TRANSPORT)


SUFFIXES = (".eml", ".mht", ".mhtml")
NAME = "a mail"
SIGNATURES = (TextStart(looks_like_mail),)
ISOLATED = True
EXTRA = "docs"
HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject")
Part: TypeAlias = "Message[Any, Any]"

# Header lines that are continued (RFC 5322), and line ends that only sending put in: not after the signature's "-- ",
# nor before a quoted line.
UNFOLD = re.compile(r"\r?\n[ \t]*")
SOFT_BREAK = re.compile(r"(?<!^--) \n(?!>)", re.MULTILINE)


def read(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
    """Yield the mail, then its attachments. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    message = email.message_from_bytes(data.lstrip(b"\r\n"))  # a blank line ends the header, even a first one
    if not message.keys():
        raise ReadError("mislabelled", "a mail by its name, but it has no header: rename it to .txt if it is text")
    mail = Mail.of(message)
    digest = sha256(data).hexdigest()
    unread = media.unread(mail.attached, options)
    try:
        builder, encoding, hidden = _text_of(mail, options)
        notes = (*hidden, *media.notes(unread, options))
        yield file.document(builder.text, digest, encoding, builder.segments, notes)
    except ReadError as failed:
        yield file.failed(failed.problem, digest)
    for attached in mail.attached:
        if attached.is_document and attached not in unread:
            yield file.inside(attached.name, functools.partial(_open, attached.part))


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part that is text of the mail itself, and its number as in IMAP: `1.2` is the second part of the first."""

    part: Part
    number: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is a file of its own. Pictures in the text and signatures are not documents."""

    part: Part
    number: str
    name: str
    is_document: bool

    @property
    def medium(self) -> str:
        """What a note calls a part that holds no text to read; empty for all others."""
        return media.kind_of(self.name, self.part.get_content_type())


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail taken apart."""

    message: Part
    texts: tuple[TextPart, ...]
    attached: tuple[Attachment, ...]

    @classmethod
    def of(cls, message: Part) -> Mail:
        """Take a mail apart."""
        names = UniqueNames()
        parts = [*_parts(message, "")]
        attached = (
            Attachment(part, number, names.new(_name(part, number)), _is_document(part))
            for part, number in parts
            if not _is_text(part)
        )
        return cls(message, tuple(TextPart(part, number) for part, number in parts if _is_text(part)), tuple(attached))


def _parts(part: Part, number: str) -> Iterator[tuple[Part, str]]:
    """Yield the leaf parts in their order; of alternatives the one that is easiest to read."""
    if not part.is_multipart() or part.get_content_maintype() == "message":
        yield part, number or "1"
        return
    inner = [(each, f"{number}.{index}".lstrip(".")) for index, each in enumerate(part.get_payload(), 1)]
    if part.get_content_type() == "multipart/alternative":
        inner = sorted(inner, key=lambda each: _rank(each[0]))[:1]
    for each, its_number in inner:
        yield from _parts(each, its_number)


def _rank(part: Part) -> int:
    kind = part.get_content_type()
    if kind == "text/plain":
        return 0 if _bytes(part).strip() else 3
    return 1 if kind == "text/html" or kind.startswith("multipart/") else 2


def _is_text(part: Part) -> bool:
    """Return whether a part is shown in the mail itself, as is a multipart without parts."""
    if part.get_content_disposition() == "attachment" or _filename(part):
        return False
    return part.get_content_type() in ("text/plain", "text/html") or (
        part.get_content_maintype() == "multipart" and not part.is_multipart()
    )


def _is_document(part: Part) -> bool:
    kind = part.get_content_type()
    if kind.endswith(("signature", "/pgp-encrypted")):
        return False
    belongs_to_text = part.get_content_disposition() != "attachment" or part.get("Content-ID") is not None
    return not (kind.startswith("image/") and belongs_to_text)


# The text of a mail


def _text_of(mail: Mail, options: ReadOptions) -> tuple[TextBuilder, str | None, list[str]]:
    """Return the text of a mail, the encoding of its first part, and notes on what is hidden in it."""
    shown = MailText()
    texts = [(text, *_decoded(text.part, options)) for text in mail.texts]
    hint = texts[0][1].encoding if texts else None
    for name in HEADERS:
        for value in _values(mail.message, name, hint):
            shown.add_header(name, value)
    for text, decoded, _ in texts:
        shown.add_body(decoded.text, text.number, text.part.get_content_type())
    for attached in mail.attached:
        shown.add_attachment(attached.name, attached.number, attached.part.get_content_type())
    shown.check()
    return shown.builder, hint, [note for *_, notes in texts for note in notes]


def _values(message: Part, wanted: str, hint: str | None) -> list[str]:
    values = (str(value) for name, value in message.raw_items() if name.lower() == wanted.lower())
    return [shown for value in values if (shown := _header(value, hint))]


def _decoded(part: Part, options: ReadOptions) -> tuple[Decoded, tuple[str, ...]]:
    """Return the text of a part, and notes on what is hidden. Raises ReadError where its encoding is not clear."""
    data, label = _bytes(part), part.get_content_charset()
    if not data.strip():
        return Decoded("", "utf-8"), ()
    is_html = part.get_content_type() == "text/html"
    decoded = html_text.decode(data, label) if is_html else declared.decode(data, label)
    if isinstance(decoded, Undecodable):
        raise ReadError(decoded.code, f"the text of the mail: {decoded.message}")
    if is_html:
        page = html_text.render(decoded.text, hidden=options.hidden)
        return Decoded(page.text, decoded.encoding), page.notes
    return Decoded(_flowing(part, decoded.text), decoded.encoding), ()


def _flowing(part: Part, text: str) -> str:
    """Join lines that were broken for sending (`format=flowed`, RFC 3676)."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    delete_space = str(part.get_param("delsp", "")).lower() == "yes"
    return SOFT_BREAK.sub("" if delete_space else " ", text.replace("\r\n", "\n"))


def _bytes(part: Part) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


LONGEST_HEADER = 1 << 16
"""Above it a header is left as it is: `decode_header` takes a time quadratic in its length."""


def _header(value: str, hint: str | None = None) -> str:
    """Return a header as people read it: unfolded, encoded words (RFC 2047) decoded, stray 8-bit bytes decoded."""
    value = UNFOLD.sub(" ", value).strip()
    if SURROGATE.search(value):
        raw = declared.decode(value.encode("utf-8", "surrogateescape"), hint)
        value = raw.text if isinstance(raw, Decoded) else SURROGATE.sub("\ufffd", value)
    if len(value) > LONGEST_HEADER:
        return value
    try:
        words = decode_header(value)
    except HeaderParseError:
        return value
    return "".join(word if isinstance(word, str) else _word(word, label) for word, label in words).strip() or value


def _word(word: bytes, label: str | None) -> str:
    if label is None:
        return word.decode("raw-unicode-escape", "replace")
    decoded = declared.decode(word, label)
    return decoded.text if isinstance(decoded, Decoded) else word.decode("ascii", "replace")


# Attachments


def _filename(part: Part) -> str:
    """Return the name that a part is sent under, however it is encoded."""
    headers: Part = Message()
    for name, value in part.raw_items():
        if name.lower() in ("content-disposition", "content-type"):
            headers[name] = _header(str(value)) if SURROGATE.search(str(value)) else str(value)
    return _header(headers.get_filename("") or "").replace("/", "_").replace("\\", "_")


def _name(part: Part, number: str) -> str:
    kind = part.get_content_type()
    if name := _filename(part):
        return name if "." in name or kind != "message/rfc822" else f"{name}.eml"
    suffix = ".eml" if kind == "message/rfc822" else mimetypes.guess_extension(kind) or ""
    return f"part {number}{suffix}"


def _open(part: Part) -> BinaryIO:
    if not part.is_multipart():
        return io.BytesIO(_bytes(part))
    out = io.BytesIO()
    for message in part.get_payload():
        try:
            Generator(out, mangle_from_=False, maxheaderlen=0).flatten(cast(Part, message))
        except MessageError as error:
            raise damaged("mail inside the mail", error) from error
    return io.BytesIO(out.getvalue())


class Generator(BytesGenerator):
    """A generator that writes a mail as it came, and characters that are in it where only ASCII should be as UTF-8."""

    def write(self, s: str) -> None:
        """Write text, and bytes that were not ASCII as they were."""
        self._fp.write(s.encode("utf-8", "surrogateescape"))  # type: ignore[attr-defined]  # as BytesGenerator does
