"""RTF: its text, escapes read in the code page of the font that they are set in. Knows no files.

A byte may be escaped (`\\'d6`) or raw, and the two bytes of a Chinese character may be one of each, so bytes are
collected and decoded together. `\\u` escapes are followed by a substitute for old programs, which is skipped. Headers
come first, footers and notes, which are written where their sign is, after the text that they would break. Hidden words
are left out and counted; pictures, fonts, styles and field codes are no text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from extractor.readers._support.rows import SURROGATE
from extractor.readers._support.rtf_fields import DEEPEST, Field

# Groups: a control word and its number (one space after it belongs to it), the hexadecimal digits of an escaped byte,
# a control symbol, a brace, and raw text. Line ends and NUL between tokens mean nothing.
TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(\r\n|.)|([{}])|[\r\n\0]+|([^\\{}\r\n\0]+)", re.DOTALL
)
NOT_TEXT = frozenset(
    "colortbl stylesheet listtable listoverridetable revtbl rsidtbl generator info pict objdata blipuid pn"
    " themedata colorschememapping datastore latentstyles xmlnstbl wgrffmtfilter mmathPr pnseclvl bkmkstart bkmkend"
    " filetbl datafield nonshppict nonesttables sp sn sv shprslt atnid atnauthor annotation atrfstart atrfend"
    " atnref atntime atndate atnparent xe tc tcn rxe userprops docvar template ftnsep ftnsepc ftncn aftnsep aftnsepc"
    " aftncn".split()
)
OPTIONAL_TEXT = frozenset("shppict shptxt shpinst fldrslt footnote ud".split())
"""Destinations that are marked as optional and hold text."""
INSTRUCTIONS = ("fldinst", "formfield")
FORM_SETTINGS = ("fftype", "ffres", "ffdefres")
HEADERS = ("header", "headerl", "headerr", "headerf")
FOOTERS = ("footer", "footerl", "footerr", "footerf")
ASIDE = (*HEADERS, *FOOTERS, "footnote")
"""Destinations that are no part of the running text."""
DESTINATIONS = NOT_TEXT | {*ASIDE, *INSTRUCTIONS, "fonttbl", "field", "ffl", "upr", "ud"}
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


@dataclass(frozen=True, slots=True)
class Group:
    """What holds until a brace closes: whether its text is shown, its font, and the length of substitutes (`\\uc`).

    `has_twin` says that the same text follows in Unicode (`\\upr`), `flow` which text it belongs to: the running one,
    or one of those aside. `instructs` says that it is the instruction of a field, `lists` an entry of a list in it.
    """

    shown: bool = True
    font: int | None = None
    substitutes: int = 1
    in_fonts: bool = False
    has_twin: bool = False
    hidden: bool = False
    flow: int = 0
    instructs: bool = False
    lists: bool = False


@dataclass
class RtfParser:
    """The state of parsing a document: the group that is open, those around it, and the text so far.

    `show_hidden` keeps hidden words; `hidden` counts those left out. `flows` are the running text and those aside, each
    with the word that began it, `fields` those that are open. `_bytes` are text that is not decoded yet; they are when
    the font or anything but bytes follows. `_to_skip` is what is left of the substitute after a `\\u` escape,
    `_at_start` that a group has just begun, `_is_optional` that `\\*` has just been seen there: anywhere else it says
    nothing of its group (OpenOffice writes it before the style of some words).
    """

    code_page: str = "cp1252"
    broken: int = 0
    group: Group = field(default_factory=Group)
    stack: list[Group] = field(default_factory=list)
    fonts: dict[int | None, str] = field(default_factory=dict)
    default_font: int | None = None
    is_complete: bool = False
    show_hidden: bool = False
    hidden: int = 0
    flows: list[tuple[str, list[str]]] = field(default_factory=lambda: [("", [])])
    fields: list[Field] = field(default_factory=list)
    _bytes: bytearray = field(default_factory=bytearray)
    _to_skip: int = 0
    _at_start: bool = False
    _is_optional: bool = False

    def feed(self, data: bytes) -> None:
        """Parse a document until its outermost group is closed, or the data ends."""
        at = data.find(b"{")
        while not self.is_complete and (match := TOKEN.match(data, at)):
            at = match.end() + self._token(match)
        self._decode()

    @property
    def text(self) -> str:
        """The text so far, headers first, each once, footers and notes last. The two UTF-16 halves of a character were
        escaped one by one; here they are one again."""
        running = "".join(self.flows[0][1])
        before, footers = dict.fromkeys(self._aside(HEADERS)), dict.fromkeys(self._aside(FOOTERS))
        after = [*footers, *self._aside(("footnote",))]
        text = "\n".join([*before, running.removesuffix("\n") if after else running, *after])
        return (
            text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if SURROGATE.search(text) else text
        )

    def _aside(self, words: Sequence[str]) -> list[str]:
        """Return the texts that these words began."""
        texts = ("".join(pieces).strip("\n") for word, pieces in self.flows if word in words)
        return [text for text in texts if text.strip()]

    def _token(self, match: re.Match[bytes]) -> int:
        """Take one token, and return how many bytes of binary data follow it (`\\bin`)."""
        word, argument, escaped, symbol, brace, plain = match.groups()
        began, self._at_start = self._at_start, brace == b"{" or (self._at_start and match.lastindex is None)
        if word:
            return self._word(word.decode("ascii"), int(argument) if argument else None)
        if brace:
            self._brace(brace)
        elif symbol == b"*":
            self._is_optional = began
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
            if self.fields and self.fields[-1].depth > len(self.stack):
                self.fields.pop().end()
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
        elif not self._begins_destination(word, optional):
            self._setting(word, 1 if number is None and word == "v" else number or 0)
        return 0

    def _begins_destination(self, word: str, optional: bool) -> bool:
        """Take a word that says what the text of its group is for; return False for any other word."""
        if word not in DESTINATIONS and (not optional or word in OPTIONAL_TEXT):
            return False
        self._decode()  # what is before it is not for that
        if word == "fonttbl":
            self.group = replace(self.group, shown=False, in_fonts=True)
        elif word in ASIDE:
            self.flows.append((word, []))
            self.group = replace(self.group, flow=len(self.flows) - 1)
        elif word == "field":
            self._begin_field()
        elif word in INSTRUCTIONS or word == "ffl":
            self._instruction(word)
        elif word in ("upr", "ud"):
            twin = self.group.has_twin if word == "ud" else self.group.shown
            self.group = replace(self.group, shown=word == "ud" and twin, has_twin=twin)
        else:
            self.group = replace(self.group, shown=False, has_twin=False, instructs=False, lists=False)
        return True

    def _instruction(self, word: str) -> None:
        """Begin the instruction of a field, or an entry of the list that it is to choose from."""
        self.group = replace(self.group, shown=False, has_twin=False, instructs=bool(self.fields), lists=word == "ffl")
        if word == "ffl" and self.fields:
            self.fields[-1].entries.append("")

    def _begin_field(self) -> None:
        if len(self.fields) < DEEPEST and self.group.shown:
            flow = self.flows[self.group.flow][1]
            self.fields.append(Field(len(self.stack), flow, len(flow)))

    def _setting(self, word: str, number: int) -> None:
        if word == "uc":
            self.group = replace(self.group, substitutes=max(0, number))
        elif word == "ansicpg":
            self.code_page = _codec(f"cp{number}")
        elif word in WORDS_OF_CODE_PAGE:
            self.code_page = WORDS_OF_CODE_PAGE[word]
        elif word == "deff":
            self.default_font = number
        elif word in ("v", "f", "plain"):
            self._character_setting(word, number)
        elif word in FORM_SETTINGS and self.fields and self.group.instructs:
            self.fields[-1].form[word] = number
        elif word == "fcharset" and self.group.in_fonts and number in CHARSETS:
            self.fonts[self.group.font] = CHARSETS[number]
        elif word == "cpg" and self.group.in_fonts:
            self.fonts[self.group.font] = _codec(f"cp{number}")

    def _character_setting(self, word: str, number: int) -> None:
        """Take a font, whether words are hidden, or that neither is set."""
        self._decode()
        if word == "v":
            self.group = replace(self.group, hidden=number != 0)
        elif word == "f":
            self.group = replace(self.group, font=number)
        else:
            self.group = replace(self.group, font=None, hidden=False)

    def _escape(self, number: int) -> None:
        """Write a character by its UTF-16 unit, a signed 16-bit number, and expect its substitute."""
        self._write(chr(number % 0x10000))
        self._to_skip = self.group.substitutes

    def _write(self, text: str) -> None:
        self._decode()
        self._to_skip = 0
        if self.group.shown:
            self._show(text)
        elif self.group.instructs:
            self._instruct(text)

    def _show(self, text: str) -> None:
        if self.group.hidden and not self.show_hidden:
            self.hidden += len(text.strip("\n\t"))
        else:
            self.flows[self.group.flow][1].append(text)

    def _instruct(self, text: str) -> None:
        """Add to the instruction of a field, or to the last entry of its list."""
        if self.group.lists and self.fields[-1].entries:
            self.fields[-1].entries[-1] += text
        elif not self.group.lists:
            self.fields[-1].instruct(text)

    def _take(self, data: bytes) -> None:
        """Take bytes of text, without those of the substitute for a character that has been read."""
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        if self.group.shown or self.group.instructs:
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
        self._show(text) if self.group.shown else self._instruct(text)


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
