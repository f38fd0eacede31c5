"""What the two forms of Outlook's mail share (`msg`, `tnef`): code pages, and which form of the text is read."""

from __future__ import annotations

from dataclasses import dataclass

from extractor.encodings import declared
from extractor.encodings.detect import Decoded
from extractor.readers._support import html_text
from extractor.readers._support.files import ReadOptions
from extractor.readers._support.limits import Budget, ReadError
from extractor.readers._support.notes import counted, left_out
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.rtf_compression import decompressed
from extractor.readers._support.rtf_text import RtfParser

CODE_PAGES = {65001: "utf-8", 936: "gb18030", 54936: "gb18030", 28591: "iso-8859-1", 20127: "ascii", 1200: "utf-16-le"}


def codec_of(code_page: int) -> str | None:
    """Return the Python codec of a code page; None for 0, which says none."""
    return CODE_PAGES.get(code_page, f"cp{code_page}") if code_page else None


def decoded(data: bytes, codec: str | None) -> str:
    """Return a text of bytes: in the code page that is declared, else in the encoding detected."""
    data = data.rstrip(b"\0")
    found = declared.decode(data, codec) if data else Decoded("", "ascii")
    return found.text if isinstance(found, Decoded) else data.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of a mail's text, each empty where it has none; HTML in a codec, RTF compressed."""

    plain: str
    html: bytes
    html_codec: str | None
    rtf: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a mail, its media type, and notes on what is hidden in it."""

    text: str
    kind: str
    notes: tuple[str, ...] = ()


def body_of(forms: Forms, options: ReadOptions, budget: Budget) -> Body:
    """Return the plain text, else the HTML as people see it, else the RTF. Raises ReadError for an unclear encoding."""
    if forms.plain.strip():
        return Body(forms.plain, "text/plain")
    if forms.html:
        page = html_text.decode(forms.html, forms.html_codec)
        if not isinstance(page, Decoded):
            raise ReadError(page.code, f"the text of the mail: {page.message}")
        rendered = html_text.render(page.text, hidden=options.hidden)
        return Body(rendered.text, "text/html", rendered.notes)
    parser = RtfParser(show_hidden=options.hidden)
    parser.feed(decompressed(forms.rtf, budget))
    notes = left_out(counted(parser.hidden, "hidden character"))
    return Body(SURROGATE.sub("\ufffd", parser.text), "text/rtf", notes)
