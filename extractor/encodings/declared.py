"""Text whose encoding is declared (HTML, mail): the declaration is a claim, and the bytes are the evidence.

Bytes that are UTF-8 are read as such whatever is declared. A declaration that fits the bytes is followed, in the wider
form for which browsers take it; one that they contradict gives way to what `detect` finds. A few broken bytes in a text
whose encoding is clear become U+FFFD, and the recorded encoding says so.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from extractor.encodings import detect
from extractor.encodings.detect import EAST_ASIAN, Decoded, Undecodable
from extractor.encodings.languages import profile
from extractor.encodings.scoring import is_text

WIDER = {
    "ascii": ("utf-8",),
    "iso8859-1": ("cp1252", "iso8859-1"),
    "cp1252": ("cp1252", "iso8859-1"),
    "iso8859-9": ("cp1254", "iso8859-9"),
    "iso8859-11": ("cp874",),
    "tis-620": ("cp874",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "big5": ("big5", "cp950", "big5hkscs"),
    "cp950": ("cp950", "big5hkscs"),
    "shift_jis": ("shift_jis", "cp932", "shift_jis_2004"),
    "euc_jp": ("euc_jp", "euc_jis_2004"),
    "euc_kr": ("euc_kr", "cp949"),
    "iso2022_jp": ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2"),
}
NAMES = {
    "gb_2312-80": "gb2312",
    "gb2312-80": "gb2312",
    "x-gbk": "gbk",
    "csgb2312": "gb2312",
    "chinese": "gb2312",
    "cn-gb": "gb2312",
    "x-x-big5": "big5",
    "cn-big5": "big5",
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "ms932": "cp932",
    "x-euc-jp": "euc_jp",
    "ks_c_5601": "euc_kr",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "unicode-1-1-utf-7": "utf-7",
    "unicode": "utf-16",
    "utf8mb4": "utf-8",
}
NOT_FOR_TEXT = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"))
STATEFUL = ("hz", "iso2022", "utf-7")
"""Encodings whose bytes are all ASCII."""
WESTERN = frozenset(("cp1252", "iso8859-1", "iso8859-15", "utf-8", "mac-roman"))
"""Declared by tools that do not know the encoding, and able to decode nearly any bytes."""
CHINESE = frozenset(("gb2312", "gbk", "gb18030"))
SAMPLE_BYTES = 1 << 15
BROKEN_SHARE = 0.02
BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
LATIN_LETTERS = 6
"""Accented letters of which another Latin encoding makes a language."""


def codec(label: str | None) -> str | None:
    """Return the Python codec for a label; None where there is none for text."""
    name = (label or "").strip("\"' \t\r\n;").lower()
    try:
        found = codecs.lookup(NAMES.get(name, name)).name
        b"".decode(found)
    except (LookupError, ValueError):
        return None
    return None if found in NOT_FOR_TEXT else found


def decode(data: bytes, label: str | None) -> Decoded | Undecodable:
    """Decode bytes that are declared to be in an encoding; the result names the one that they are in."""
    declared = codec(label)
    found = detect.decode(data)
    if declared is None or (isinstance(found, Undecodable) and found.code in ("empty", "binary")):
        return found if isinstance(found, Decoded) else _with_replacements(data, found.nearly) or found
    if data.isascii() and not declared.startswith(STATEFUL):
        return found
    if isinstance(found, Decoded) and _is_evident(found, declared, data):
        return found
    strictly = next(_strictly(data, declared), None)
    if strictly is not None:
        return strictly
    if isinstance(found, Decoded):
        return found
    return _with_replacements(data, declared) or _with_replacements(data, found.nearly) or found


def _is_evident(found: Decoded, declared: str, data: bytes) -> bool:
    """Return whether what was detected outweighs what was declared.

    Unicode does, and so does anything else against a declaration that decodes any bytes: a Western one, or a Chinese
    one that gives no Chinese.
    """
    if data.isascii():
        return found.encoding.startswith(STATEFUL)
    if found.encoding.startswith("utf"):
        return True
    if declared in CHINESE and found.encoding != "gb18030" and _is_long_and_sure(found):
        sample = data[:SAMPLE_BYTES].decode("gb18030", "replace")
        return not any(is_text(sample, profile(name)) for name in ("simplified", "traditional"))
    return declared in WESTERN and found.encoding not in WESTERN and _is_long_and_sure(found)


def _is_long_and_sure(found: Decoded) -> bool:
    """Tell whether a text shows by words of its own script, not by a few signs among ASCII, that it is in an encoding.

    A single sign (`£`, `°`, a no-break space) is some letter of every encoding.
    """
    words = BEYOND_ASCII.findall(found.text[:SAMPLE_BYTES])
    beyond, together = sum(map(len, words)), sum(len(word) for word in words if len(word) > 1)
    if found.encoding in EAST_ASIAN:
        return together >= max(3, 0.7 * beyond)
    return beyond >= LATIN_LETTERS or together >= max(8, 0.8 * beyond)


def _strictly(data: bytes, declared: str) -> Iterator[Decoded]:
    for name in WIDER.get(declared, (declared,)):
        try:
            text = data.decode(name)
        except UnicodeError:
            continue
        if text.strip():
            yield Decoded(text.removeprefix("\ufeff"), codecs.lookup(name).name)


def _with_replacements(data: bytes, name: str | None) -> Decoded | None:
    """Decode with U+FFFD for broken bytes, if they are few."""
    if name is None:
        return None
    name = WIDER.get(name, (name,))[-1]
    text = data.decode(name, "replace")
    broken = text.count("\ufffd")
    if broken > 1 + BROKEN_SHARE * len(text):
        return None
    return Decoded(text, f"{name} ({broken} broken bytes read as U+FFFD)")
