"""RTF: the text of a document, its escapes read in the code page of the font that they are set in.

A byte may be escaped (`\\'d6`) or raw, and the two bytes of a Chinese character may be one of each, so bytes are
collected and decoded together. `\\u` escapes are followed by a substitute for old programs, which is skipped. Headers,
footers and notes are text; pictures, fonts, styles and field codes are not.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256

from extractor.data import Document
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.signatures import Magic

SUFFIXES = (".rtf",)
NAME = "an RTF document"
SIGNATURES = (Magic(b"{\\rtf", skip=b"\xef\xbb\xbf \t\r\n"),)
ISOLATED = True
# Groups: a control word and its number (one space after it belongs to it), the hexadecimal digits of an escaped byte,
# a control symbol, a brace, and raw text. Line ends and NUL between tokens mean nothing.
TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(\r\n|.)|([{}])|[\r\n\0]+|([^\\{}\r\n\0]+)", re.DOTALL
)
NOT_TEXT = frozenset(
    "colortbl stylesheet listtable listoverridetable revtbl rsidtbl generator info pict objdata blipuid fldinst pn"
    " themedata colorschememapping datastore latentstyles xmlnstbl wgrffmtfilter mmathPr pnseclvl bkmkstart bkmkend"
    " filetbl datafield nonshppict nonesttables formfield sp sn sv shprslt atnid atnauthor annotation atrfstart atrfend"
    " atnref atntime atndate atnparent xe tc tcn rxe userprops docvar template ftnsep ftnsepc ftncn aftnsep aftnsepc"
    " aftncn".split()
)
OPTIONAL_TEXT = frozenset("shppict shptxt shpinst fldrslt footnote ud".split())
"""Destinations that are marked as optional and hold text."""
AS_TEXT = {
    "par": "\n",
    "line": "\n",
    "sect": "\n",
    "page": "\n",
    "column": "\n",
    "row": "\n",
    "nestrow": "\n",
    "cell": "\t",
    "nestcell": "\t",
    "tab": "\t",
    "emdash": "—",
    "endash": "–",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
}
SYMBOLS = {b"~": "\u00a0", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\n": "\n", b"\r": "\n", b"\r\n": "\n"}
CHARSETS = {
    77: "mac-roman",
    78: "shift_jis",
    79: "euc_kr",
    80: "gb18030",
    81: "big5",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gb18030",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
}
CODE_PAGES = {"cp936": "gb18030", "cp65001": "utf-8", "cp10000": "mac-roman", "cp10008": "gb18030", "cp0": "cp1252"}
WORDS_OF_CODE_PAGE = {"ansi": "cp1252", "mac": "mac-roman", "pc": "cp437", "pca": "cp850"}


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the document. Raises OSError where the file cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    parser = RtfParser()
    parser.feed(data)
    if not parser.is_complete:
        raise damaged("RTF document", "a group is not closed")
    text = SURROGATE.sub("\ufffd", parser.text).strip("\n")
    if not text.strip():
        raise ReadError("empty", "no text: the document holds only white space or pictures")
    encoding = parser.code_page + (f" ({parser.broken} broken bytes read as U+FFFD)" if parser.broken else "")
    yield file.document(text, sha256(data).hexdigest(), encoding)


@dataclass(frozen=True, slots=True)
class Group:
    """What holds until a brace closes: whether its text is shown, its font, and the length of substitutes (`\\uc`).

    `has_twin` says that the same text follows in Unicode (`\\upr`).
    """

    shown: bool = True
    font: int | None = None
    substitutes: int = 1
    in_fonts: bool = False
    has_twin: bool = False


@dataclass
class RtfParser:
    """The state of parsing a document: the group that is open, those around it, and the text so far.

    `_bytes` are text that is not decoded yet; they are when the font or anything but bytes follows. `_to_skip` is what
    is left of the substitute after a `\\u` escape, `_is_optional` that `\\*` has just been seen.
    """

    code_page: str = "cp1252"
    broken: int = 0
    group: Group = field(default_factory=Group)
    stack: list[Group] = field(default_factory=list)
    fonts: dict[int | None, str] = field(default_factory=dict)
    default_font: int | None = None
    is_complete: bool = False
    _out: list[str] = field(default_factory=list)
    _bytes: bytearray = field(default_factory=bytearray)
    _to_skip: int = 0
    _is_optional: bool = False

    def feed(self, data: bytes) -> None:
        """Parse a document until its outermost group is closed, or the data ends."""
        at = data.find(b"{")
        while not self.is_complete and (match := TOKEN.match(data, at)):
            at = match.end() + self._token(match)
        self._decode()

    @property
    def text(self) -> str:
        """The text so far. The two UTF-16 halves of a character were escaped one by one; here they are one again."""
        text = "".join(self._out)
        return (
            text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if SURROGATE.search(text) else text
        )

    def _token(self, match: re.Match[bytes]) -> int:
        """Take one token, and return how many bytes of binary data follow it (`\\bin`)."""
        word, argument, escaped, symbol, brace, plain = match.groups()
        if word:
            return self._word(word.decode("ascii"), int(argument) if argument else None)
        if brace:
            self._brace(brace)
        elif symbol == b"*":
            self._is_optional = True
        elif symbol and symbol in SYMBOLS:
            self._write(SYMBOLS[symbol])
        elif escaped or plain:
            self._take(bytes.fromhex(escaped.decode("ascii")) if escaped else plain)
        return 0

    def _brace(self, brace: bytes) -> None:
        self._decode()
        self._to_skip = 0
        self._is_optional = False
        if brace == b"{":
            self.stack.append(self.group)
        elif self.stack:
            self.group = self.stack.pop()
            self.is_complete = not self.stack

    def _word(self, word: str, number: int | None) -> int:
        """Take a control word: text, the beginning of a destination, or a setting."""
        optional, self._is_optional = self._is_optional, False
        if word == "bin":
            return max(0, number or 0)
        if word == "u":
            self._escape(number or 0)
        elif word in AS_TEXT:
            self._write(AS_TEXT[word])
        elif word == "fonttbl":
            self.group = replace(self.group, shown=False, in_fonts=True)
        elif word in NOT_TEXT or (optional and word not in OPTIONAL_TEXT):
            self.group = replace(self.group, shown=False, has_twin=False)
        elif word == "upr":
            self.group = replace(self.group, shown=False, has_twin=self.group.shown)
        elif word == "ud":
            self.group = replace(self.group, shown=self.group.has_twin)
        else:
            self._setting(word, number or 0)
        return 0

    def _setting(self, word: str, number: int) -> None:
        if word == "uc":
            self.group = replace(self.group, substitutes=max(0, number))
        elif word == "ansicpg":
            self.code_page = _codec(f"cp{number}")
        elif word in WORDS_OF_CODE_PAGE:
            self.code_page = WORDS_OF_CODE_PAGE[word]
        elif word == "deff":
            self.default_font = number
        elif word in ("f", "plain"):
            self._decode()
            self.group = replace(self.group, font=number if word == "f" else None)
        elif word == "fcharset" and self.group.in_fonts and number in CHARSETS:
            self.fonts[self.group.font] = CHARSETS[number]
        elif word == "cpg" and self.group.in_fonts:
            self.fonts[self.group.font] = _codec(f"cp{number}")

    def _escape(self, number: int) -> None:
        """Write a character by its UTF-16 unit, a signed 16-bit number, and expect its substitute."""
        self._write(chr(number % 0x10000))
        self._to_skip = self.group.substitutes

    def _write(self, text: str) -> None:
        self._decode()
        self._to_skip = 0
        if self.group.shown:
            self._out.append(text)

    def _take(self, data: bytes) -> None:
        """Take bytes of text, without those of the substitute for a character that has been read."""
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        if self.group.shown:
            self._bytes += data[skipped:]

    def _decode(self) -> None:
        """Decode the bytes so far in the code page of the font, else in that of the document."""
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        font = self.default_font if self.group.font is None else self.group.font
        name = self.fonts.get(font, self.code_page)
        text = next(_strictly(data, name, self.code_page), None)
        if text is None:
            text = data.decode(name, "replace")
            self.broken += text.count("\ufffd")
        self._out.append(text)


def _strictly(data: bytes, *names: str) -> Iterator[str]:
    """Yield the bytes decoded in each code page that has them all."""
    for name in names:
        try:
            yield data.decode(name)
        except UnicodeDecodeError:
            continue


def _codec(name: str) -> str:
    try:
        return codecs.lookup(CODE_PAGES.get(name, name)).name
    except LookupError:
        return "cp1252"
