"""What a file holds, told by its content: a suffix is a claim, and this is what it is held against.

Formats with a signature are told for certain, HTML and mail by how they begin. All else is plain text, or bytes that
nobody knows.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

from extractor.encodings.detect import Decoded, Undecodable, magic, sniff
from extractor.errors import Code
from extractor.readers._support.files import File, read_up_to
from extractor.readers._support.limits import DAMAGE

HEAD_BYTES = 8192
OLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, in words, and the suffix of such files (empty where there is no usual one). `code` and
    `advice` are for one that no reader can read."""

    name: str
    suffix: str = ""
    advice: str = "leave it out"
    code: Code = "unsupported"


EMPTY = Content("nothing at all")
TEXT = Content("plain text", ".txt")
UNKNOWN = Content("data of an unknown kind")
HTML = Content("an HTML page", ".html")
MAIL = Content("a mail", ".eml")
PDF = Content("a PDF document", ".pdf")
RTF = Content("an RTF document", ".rtf")
ZIP = Content("a ZIP archive", ".zip")
GZIP = Content("a gzip archive", ".gz")
PARQUET = Content("a Parquet file", ".parquet")
OLE = Content("an old Office document", "", "save it in a format of today and run again")
BY_MAGIC = {
    "a ZIP archive or an Office document": ZIP,
    "an empty ZIP archive": ZIP,
    "a gzip archive": GZIP,
    "an old Office document": OLE,
    "a Parquet file": PARQUET,
}
SAVE_AS = "save it as {} and run again"
IN_ZIP = (
    ("word/", Content("a Word document", ".docx")),
    ("xl/workbook.bin", Content("a binary Excel workbook", ".xlsb", SAVE_AS.format(".xlsx"))),
    ("xl/", Content("an Excel workbook", ".xlsx")),
    ("ppt/", Content("a PowerPoint presentation", ".pptx", SAVE_AS.format(".pdf"))),
    ("META-INF/container.xml", Content("an EPUB book", ".epub", SAVE_AS.format(".html"))),
    ("content.xml", Content("an OpenDocument file", ".odt", SAVE_AS.format(".docx or .xlsx"))),
    ("META-INF/MANIFEST.MF", Content("a Java archive", ".jar")),
)
IN_OLE = (
    ("WordDocument", Content("an old Word document", ".doc", SAVE_AS.format(".docx"))),
    ("Workbook", Content("an old Excel workbook", ".xls", SAVE_AS.format(".xlsx"))),
    ("Book", Content("an old Excel workbook", ".xls", SAVE_AS.format(".xlsx"))),
    ("PowerPoint Document", Content("an old PowerPoint presentation", ".ppt", SAVE_AS.format(".pdf"))),
    ("__properties_version1.0", Content("an Outlook message", ".msg", SAVE_AS.format(".eml"))),
)
ENCRYPTED = "an encrypted Office document"
OFFICE = (".docx", ".xlsx")
ZIPPED = (".zip", *OFFICE)
SIGNED = frozenset((".pdf", ".rtf", ".gz", ".parquet", *ZIPPED))
"""Suffixes of formats that show a signature: without it, a file is something else."""

BEFORE_MARKUP = r"(?:\s+|<!--.*?(?:-->|\Z)|<\?xml.*?(?:\?>|\Z))*"
MARKUP = re.compile(BEFORE_MARKUP + r"<(?:!doctype\s+html|(?:html|head|body|title|meta|table|div|p)[\s>])", re.I | re.S)
HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t\r]|[ \t]")
WRITTEN = frozenset("from to cc bcc subject date sender reply-to".split())
CARRIED = frozenset(
    "received return-path message-id mime-version content-type delivered-to x-mailer x-original-to".split()
)


def identify(file: File) -> Content:
    """What the file holds. Raises OSError where it cannot be opened."""
    with file.open() as stream:
        head = read_up_to(stream, HEAD_BYTES)
        content = by_head(head)
        if content is ZIP:
            stream.seek(0)
            return _in_zip(stream, head, file.suffix)
        return _in_ole(head + read_up_to(stream, OLE_BYTES), file.suffix) if content is OLE else content


def by_head(head: bytes) -> Content:
    """What the first bytes of a file tell, without a look at what is inside an archive or an old Office document."""
    if not head:
        return EMPTY
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return RTF
    if name := magic(head):
        return BY_MAGIC.get(name) or Content(name)
    if head[257:262] == b"ustar":
        return Content("a tar archive", ".tar", "unpack it and give the folder")
    return _by_text(head)


def _by_text(head: bytes) -> Content:
    """HTML and mail are told even where their encoding is not."""
    found = sniff(head)
    if isinstance(found, Undecodable) and found.code != "encoding":
        return TEXT if found.code == "empty" else UNKNOWN
    text = found.text if isinstance(found, Decoded) else head.decode("latin-1")
    if MARKUP.match(text):
        return HTML
    if _is_mail(text):
        return MAIL
    return TEXT if isinstance(found, Decoded) else UNKNOWN


def _is_mail(text: str) -> bool:
    """Whether a text begins as a mail does that has been on its way: a memo has From, To and Subject, too."""
    names = set()
    lines = text.lstrip("\ufeff\r\n").splitlines()
    for line in lines[1:] if text.startswith("From ") else lines:
        found = HEADER.match(line + " ")
        if not found:
            break
        names.add((found[1] or "").lower())
    return bool(names & WRITTEN) and bool(names & CARRIED)


def _in_zip(stream: BinaryIO, head: bytes, suffix: str) -> Content:
    """What kind of ZIP it is; one whose directory is lost is taken for what its suffix says."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except (*DAMAGE, NotImplementedError, ValueError):
        return Content("a damaged ZIP archive", suffix if suffix in ZIPPED else ".zip")
    if not {"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"} & set(names):
        return ZIP
    return next((content for start, content in IN_ZIP if any(name.startswith(start) for name in names)), ZIP)


def _in_ole(data: bytes, suffix: str) -> Content:
    """The directory of an OLE file holds the names of its streams in UTF-16."""
    if _utf16("EncryptedPackage") in data:
        advice = "it is encrypted: give it the suffix .docx or .xlsx, and its password with --password"
        return Content(ENCRYPTED, suffix if suffix in OFFICE else "", advice, "locked")
    return next((content for name, content in IN_OLE if _utf16(name) in data), OLE)


def _utf16(name: str) -> bytes:
    return f"{name}\0".encode("utf-16-le")
