"""EUC-TW (CNS 11643, planes 1 and 2), the encoding of old Unix systems in Taiwan, which Python has no codec for.

The two planes hold the characters of Big5 in nearly the same order: a table of runs leads to Big5, and its codec to
Unicode. Registered as `euc_tw`, for decoding alone.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME = "euc_tw"
LABELS = frozenset((NAME, "euctw", "x_euc_tw", "cseuctw", "cns11643"))

# CNS 11643 of the first character, Big5 of it, and how many follow one another in both; for each plane.
RUNS = (
    "2121 A140 5 2127 A146 8 2130 A14F 6 2136 A157 2 2139 A156 1 213E A15D 44 216A A1AC 1 216B A1AB 1 216C A1AD 22 "
    "2225 A1C4 1 2227 A1C6 27 2242 A1E2 1 2243 A1E1 1 2244 A1E3 19 2257 A1F7 1 2258 A1F6 1 2259 A1F8 4 225E A155 1 "
    "225F A241 2 2263 A243 1 2265 A245 1 2268 A248 69 2421 A2AF 29 243F A2CD 1 2441 A2CF 142 2621 C7E9 20 "
    "4421 A440 1412 5323 AD40 424 5753 ACFE 1 5754 AFD0 1876 6B50 BE52 1 6B51 BBC8 387 6F5C BE53 525 7535 C2CB 1 "
    "7536 C1AB 105 7642 C256 83 7737 C2CC 84 782D C456 1 782E C361 54 7864 C3BA 1 7865 C3B9 1 7866 C3BB 90 "
    "7962 C457 354",
    "2121 C940 10 212B C94B 33 214C C9BE 1 214D C96C 48 217D C9BF 46 224D CAF7 1 224E C9ED 167 2439 CAF8 1840 "
    "376F DADF 1 3770 D6CD 108 387E D77B 537 3E63 D6CC 1 3E64 DAE0 100 3F6A D77A 1 3F6B DBA7 399 4424 DDFD 1637 "
    "554B EBF1 1 554C E8A3 146 5722 ECDE 1 5723 E976 287 5A28 F0CB 1 5A29 EB5B 116 5B3F EBF2 137 5C6A ECDF 104 "
    "5D74 F056 1 5D75 EDAA 222 6039 EEEC 198 6243 F057 82 6337 F0CC 86 642F EEEB 1 6430 F163 8 6438 F16C 153 "
    "6573 F269 56 664D F4B5 1 664E F2C3 113 6761 F16B 1 6762 F375 142 6934 F268 1 6935 F466 45 6962 F4B6 71 "
    "6A4B F663 1 6A4C F4FD 194 6C52 F664 490 7166 F9C4 1 7167 F977 43 7234 F9C5 1 7235 F9C7 11 7240 F9C6 1 7241 F9D2 4",
)
# Of plane 1, what the codec of Big5 lacks.
OTHERS = {
    "2126": "・", "212F": "﹑", "2138": "︲", "225D": "‖", "2261": "∕﹨", "2264": "￥", "2266": "￠￡",
    "2635": "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹ", "2728": "亠", "272F": "冫", "2734": "勹", "7641": "彞",
}  # fmt: skip

ROW, BIG5_ROW = 94, 157
PLANE = 0x8E
"""The byte that announces four bytes: itself, the plane (0xA1 is plane 1), and the character."""
PIECE = re.compile(rb"[\x00-\x7f]+|\x8e[\xa1-\xfe]{0,3}|[\xa1-\xfe]{1,2}|.", re.DOTALL)
"""Runs of ASCII, characters or what there is of them, and bytes that begin none."""


@cache
def characters() -> dict[bytes, str]:
    """Return the characters of both planes by their bytes."""
    found: dict[bytes, str] = {}
    for plane, runs in enumerate(RUNS):
        fields = iter(runs.split())
        for cns, big5, length in zip(fields, fields, fields, strict=True):
            codes = range(_place(cns), _place(cns) + int(length))
            found |= {_bytes(code, plane): _big5(big5, at) for at, code in enumerate(codes)}
    for cns, text in OTHERS.items():
        found |= {_bytes(_place(cns) + at, 0): character for at, character in enumerate(text)}
    return found | {bytes((PLANE, 0xA1)) + code: text for code, text in found.items() if len(code) == 2}


def _place(cns: str) -> int:
    row, column = bytes.fromhex(cns)
    return (row - 0x21) * ROW + column - 0x21


def _bytes(place: int, plane: int) -> bytes:
    code = bytes(0xA1 + part for part in divmod(place, ROW))
    return bytes((PLANE, 0xA1 + plane)) + code if plane else code


def _big5(first: str, at: int) -> str:
    row, column = bytes.fromhex(first)
    ahead, column = divmod((column - 0x40 if column < 0x7F else column - 0x62) + at, BIG5_ROW)
    return bytes((row + ahead, column + (0x40 if column < 0x3F else 0x62))).decode("big5")


def decode(encoded: ReadableBuffer, errors: str = "strict", final: bool = True) -> tuple[str, int]:
    """Decode bytes; returns how many were taken, too: all unless the last character is cut off and not `final`."""
    data = bytes(encoded)
    parts: list[str] = []
    for piece in PIECE.finditer(data):
        code = piece.group()
        text = code.decode() if code.isascii() else characters().get(code)
        if text is None and not final and piece.end() == len(data) and len(code) < _length(code):
            return "".join(parts), piece.start()
        if text is None:
            error = UnicodeDecodeError(NAME, data, *piece.span(), "illegal multibyte sequence")
            text = str(codecs.lookup_error(errors)(error)[0])
        parts.append(text)
    return "".join(parts), len(data)


def _length(code: bytes) -> int:
    """Return how many bytes a character has that begins so."""
    return 4 if code[0] == PLANE else 2


class IncrementalDecoder(codecs.BufferedIncrementalDecoder):
    """Decodes what comes in parts."""

    def _buffer_decode(self, input: ReadableBuffer, errors: str, final: bool) -> tuple[str, int]:
        return decode(input, errors, final)


def _decode(encoded: ReadableBuffer, errors: str = "strict", /) -> tuple[str, int]:
    return decode(encoded, errors)


def _encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
    raise UnicodeEncodeError(NAME, text, 0, len(text), "only decoding is supported")


def search(label: str) -> codecs.CodecInfo | None:
    """Return the codec for a label as `codecs.lookup` spells it; for `codecs.register`."""
    if label.replace("-", "_") not in LABELS:
        return None
    return codecs.CodecInfo(_encode, _decode, incrementaldecoder=IncrementalDecoder, name=NAME)
