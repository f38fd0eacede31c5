"""Bytes to text: the encoding is detected from evidence and recorded, never assumed.

The order is: byte-order mark, magic numbers of binary formats, escape sequences, UTF-16 and UTF-32 without a mark,
strict UTF-8, then the legacy encodings by `scoring`. Each candidate decodes a sample, and the characters that come out
are scored in the languages that are written in that encoding (`languages`); the best wins if its score is that of text
and it decodes the whole strictly. chardet is asked for what the tables do not cover. A doubtful text is
refused with a Problem: there is no Latin-1 that accepts everything and no U+FFFD.

`data.decode(decoded.encoding) == decoded.text` holds for whatever is decoded, so offsets are true to the file: line
ends stay as they are and only a byte-order mark is dropped. This module knows no files and reads no formats.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extractor.encodings.languages import ALL, CJK, profile
from extractor.encodings.scoring import Candidate, Score, best, is_text, mean, scored
from extractor.errors import Problem


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and the Python codec name that gives it from the bytes."""

    text: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Undecodable(Problem):
    """Why there is no text: `empty`, `binary` or `encoding`.

    `nearly` is the encoding of the text but for a few broken bytes, for readers that can do without those.
    """

    nearly: str | None = None


BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What is refused in words of its own. Whether something reads it is not known here: readers declare their signatures.
MAGIC = (
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a Windows program"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"OggS\x00", "an Ogg recording"),
    (b"ID3\x03", "an MP3 recording"),
    (b"ID3\x04", "an MP3 recording"),
)
WESTERN = ("french", "german", "spanish", "portuguese", "italian", "nordic", "icelandic", "dutch")
CENTRAL = ("polish", "czech", "slovak", "hungarian", "romanian", "croatian", "german")
CYRILLIC = ("russian", "ukrainian", "bulgarian", "serbian")
BALTIC = ("lithuanian", "latvian", "estonian")
CANDIDATES = (
    Candidate(("gb18030",), ("simplified", "traditional"), 3.0),
    Candidate(("big5", "big5hkscs", "cp950"), ("traditional",), -1.0),
    Candidate(("euc_tw",), ("traditional",), -5.0),
    Candidate(("shift_jis", "cp932"), ("japanese",), -2.0),
    Candidate(("euc_jp",), ("japanese",), -2.0),
    Candidate(("euc_kr", "cp949"), ("korean",), -2.0),
    Candidate(("johab",), ("korean",), -5.0),
    Candidate(("cp1252",), WESTERN, -1.0),
    Candidate(("cp1251",), CYRILLIC, -2.0),
    Candidate(("koi8-r", "koi8-u"), ("russian", "ukrainian"), -3.0),
    Candidate(("cp1250",), CENTRAL, -3.0),
    Candidate(("cp1253",), ("greek",), -3.0),
    Candidate(("cp1254",), ("turkish",), -3.0),
    Candidate(("cp1255",), ("hebrew",), -3.0),
    Candidate(("cp1256",), ("arabic", "persian"), -3.0),
    Candidate(("cp1257",), BALTIC, -4.0),
    Candidate(("cp874",), ("thai",), -3.0),
    Candidate(("iso8859-2",), CENTRAL, -4.0),
    Candidate(("iso8859-5",), CYRILLIC, -4.0),
    Candidate(("iso8859-6",), ("arabic",), -4.0),
    Candidate(("iso8859-7",), ("greek",), -4.0),
    Candidate(("iso8859-8",), ("hebrew",), -4.0),
    Candidate(("iso8859-15",), WESTERN, -4.0),
    Candidate(("cp866",), ("russian", "bulgarian"), -4.0),
    Candidate(("cp855",), CYRILLIC, -6.0),
    Candidate(("mac-cyrillic",), CYRILLIC, -5.0),
    Candidate(("mac-roman",), WESTERN, -5.0),
    Candidate(("cp850", "cp437"), WESTERN, -6.0),
    Candidate(("cp852",), CENTRAL, -7.0),
    Candidate(("mac-latin2",), CENTRAL, -8.0),
)
WIDE = (Candidate(("utf-16-le",), ALL, -1.0), Candidate(("utf-16-be",), ALL, -2.0))
WIDE_CJK = tuple(replace(candidate, languages=tuple(CJK)) for candidate in WIDE)
"""UTF-16 without any control byte has no character below U+0100, so no space and no alphabet."""

CHINESE = CANDIDATES[0]
LATIN = tuple(it for it in CANDIDATES if set(it.languages) & {*WESTERN, *CENTRAL, *BALTIC, "turkish"})
UNUSUAL = frozenset(("euc_tw", "johab"))
"""Most bytes of GB18030 are well-formed in these: what is nearly text of theirs says nothing against another."""
EAST_ASIAN = UNUSUAL | {"gb18030", "big5", "big5hkscs", "cp950", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949"}
DAMAGED = Candidate(("utf-8",), ALL, 0.0)
"""What is not quite UTF-8: GB18030 would read most of it as well-formed nonsense."""

SAMPLE_BYTES = 2048
SHORT_BYTES = 32
"""Bytes beyond ASCII up to which several encodings are likely as a rule."""
SLACK, NEAR, AS_LIKELY = 8.0, 4.0, 2.0
"""Nats below the best score: what is looked at, what may be meant as well, and what is as likely."""
SURE, LAST_RESORT, VETO = 0.1, 0.4, 0.9
"""Confidence of chardet from which it decides among the likely encodings of a short text, where none is likely, and
against all of them."""
RARE = -12.0
"""Mean log-probability of a character of Chinese with rare ones in it."""
PLAIN = -11.0
"""Mean log-probability of a character above which a short text is plainly Chinese."""
ACCIDENT_BYTES, WORD_BYTES = 64, 4
"""Lengths up to which another encoding can be well-formed UTF-8 by accident, and up to which it often is."""

CONTROL_BYTES = bytes(set(range(0x20)) - set(b"\t\n\r\f\x1a\x1b")) + b"\x7f"
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
CONTEXT_BYTES = 80
"""Of ASCII before what is to be told."""
ISO_2022 = re.compile(rb"\x1b(?:\$[@AB]|\$\([CD]|\$\)C|\([IJ]|\.[AF])")
DECLARATION = re.compile(rb"charset|encoding", re.IGNORECASE)
KOREAN = b"\x1b$)C"
ISO_2022_CODECS = ("iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_kr")
HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
ADVICE = "convert it to UTF-8 and run again"
UNCLEAR = Undecodable("encoding", f"the encoding is not clear: {ADVICE}")


def decode(data: bytes) -> Decoded | Undecodable:
    """Return the text of a document's bytes, with its encoding, or why there is none."""
    result = _decode(data)
    if isinstance(result, Decoded) and not result.text.strip():
        return Undecodable("empty", "no text: the document is empty or holds only white space")
    return result


def sniff(head: bytes) -> Decoded | Undecodable:
    """Decode the first bytes of a longer file: a character that is cut in two at the end is not an error."""
    result = decode(head)
    if isinstance(result, Undecodable) and result.nearly:
        for cut in range(1, min(4, len(head))):
            shorter = decode(head[:-cut])
            if isinstance(shorter, Decoded) and shorter.encoding == result.nearly:
                return shorter
    return result


def magic(data: bytes) -> str | None:
    """Return the binary format that the first bytes announce, in words, or None."""
    found = next((name for prefix, name in MAGIC if data.startswith(prefix)), None)
    return "a RIFF media file" if found is None and data[:4] == b"RIFF" and b"\x00" in data[:12] else found


def _decode(data: bytes) -> Decoded | Undecodable:
    if not data:
        return Undecodable("empty", "no text: the document is empty or holds only white space")
    if named := next((encoding for bom, encoding in BOMS if data.startswith(bom)), None):
        return _named(data, named)
    if kind := magic(data):
        return Undecodable("binary", f"not text but {kind}: give it the right suffix, or leave it out")
    steps = (_escaped, _wide, _utf8, _binary)
    return next((found for step in steps if (found := step(data))), None) or _legacy(data)


def _named(data: bytes, encoding: str) -> Decoded | Undecodable:
    """Decode strictly as a byte-order mark announces; what is then full of control characters is not text."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        return Undecodable("encoding", _broken(error))
    if _too_many(_controls(text), len(text)):
        return Undecodable("binary", "not text: full of control characters; leave it out")
    return Decoded(text, encoding)


def _broken(error: UnicodeDecodeError) -> str:
    return f"{error.encoding}, but byte {error.start} breaks it ({error.reason}): repair the file, or {ADVICE}"


def _escaped(data: bytes) -> Decoded | None:
    """Decode ISO-2022 and HZ, whose bytes are all ASCII, so that they would pass as UTF-8."""
    if not data.isascii():
        return None
    if b"\x1b" in data and ISO_2022.search(data):
        codecs_ = ISO_2022_CODECS[-1:] if KOREAN in data else ISO_2022_CODECS
        return next(_strict(data, codecs_), None)
    if b"~{" in data and HZ.search(data):
        found = next(_strict(data, ("hz",)), None)
        return found if found and is_text(found.text, profile("simplified")) else None
    return None


def _strict(data: bytes, names: Iterable[str]) -> Iterator[Decoded]:
    for name in names:
        try:
            yield Decoded(data.decode(name), codecs.lookup(name).name)
        except UnicodeDecodeError:
            continue


def _utf8(data: bytes) -> Decoded | Undecodable | None:
    if _too_many(_control_bytes(data), len(data)):
        return None
    found = next(_strict(data, ("utf-8",)), None)
    if found is None or not _may_be_chinese(found.text, data):
        return found
    scripts = {unicodedata.name(character, "?").split()[0] for character in found.text if character > "\x7f"}
    if len(scripts) > 1:
        return None
    return _unclear("utf-8", "gb18030") if len(data) <= WORD_BYTES else found


def _may_be_chinese(text: str, data: bytes) -> bool:
    """Return whether a few words of GB18030 may happen to be UTF-8: letters of no language."""
    if len(data) > ACCIDENT_BYTES or text.isascii() or any(character > "\u07ff" for character in text):
        return False
    chinese = next(_strict(data, ("gb18030",)), None)
    if chinese is None or mean(chinese.text, profile("simplified")) < PLAIN:
        return False
    return all(not is_text(text, profile(name)) for name in ALL)


def _control_bytes(data: bytes) -> int:
    return len(data) - len(data.translate(None, CONTROL_BYTES))


def _controls(text: str) -> int:
    return sum(text.count(chr(code)) for code in CONTROL_BYTES)


def _too_many(controls: int, length: int) -> bool:
    """Return whether it is not text: a stray NUL or form feed is allowed, one control character in fifty is not."""
    return controls > 2 + length // 50 or 0 < controls == length


def _wide(data: bytes) -> Decoded | Undecodable | None:
    """Decode UTF-16 or UTF-32 without a mark: no other text has control bytes, apart from a stray one."""
    if data.count(0) * 3 > len(data) and (found := _utf32(data)):
        return found
    if not _control_bytes(data):
        return None
    scores = best([(candidate, data[:SAMPLE_BYTES]) for candidate in WIDE], slack=0)
    decoded = (found for score in scores for found in _strict(data, (score.encoding,)))
    return next(decoded, None) or (_refusal(data, scores[0].encoding) if scores else None)


def _binary(data: bytes) -> Undecodable | None:
    if not _too_many(_control_bytes(data), len(data)):
        return None
    return Undecodable("binary", "not text: full of control characters; leave it out")


def _utf32(data: bytes) -> Decoded | None:
    found = (it for it in _strict(data, ("utf-32-le", "utf-32-be")) if not _too_many(_controls(it.text), len(it.text)))
    return next(found, None)


def _legacy(data: bytes) -> Decoded | Undecodable:
    sample = _sample(data)
    even = data[: len(sample) // 2 * 2]
    if _is_latin(sample):
        pairs = [(it, sample) for it in (DAMAGED, *CANDIDATES) if it in LATIN or it is DAMAGED]
    else:
        pairs = [(it, sample) for it in (DAMAGED, *CANDIDATES)] + [(it, even) for it in WIDE_CJK]
    scores = best(pairs, slack=max(SLACK, 3 + 0.02 * len(sample)))
    likely = {score.encoding for score in scores}
    if _is_short(data) and not _is_latin(sample) and not likely & (EAST_ASIAN - UNUSUAL):
        # Rare characters and symbols among few: less likely than other text, and still likelier than what is not.
        scores = sorted([*scores, *scored(CHINESE, sample, RARE)], key=lambda it: -it.score)
    decoded = [
        (score, found) for score in scores for found in itertools.islice(_strict(data, score.candidate.codecs), 1)
    ]
    if not decoded:
        named = _by_chardet(data, VETO if scores else LAST_RESORT)
        nearly = next((score.encoding for score in scores if score.encoding not in UNUSUAL), None)
        return named or (_refusal(data, nearly) if nearly else UNCLEAR)
    return _chosen(decoded, data)


def _is_latin(sample: bytes) -> bool:
    """Tell whether what is beyond ASCII stands alone among ASCII, as accents and symbols of Latin text do."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", sample)]
    return 3 * sum(runs) <= len(sample) and 4 * runs.count(1) >= 3 * len(runs)


def _chosen(decoded: list[tuple[Score, Decoded]], data: bytes) -> Decoded | Undecodable:
    """Return the likeliest text. Where others are nearly as likely, a few bytes are taken for Chinese unless another
    detector is sure of one of them or another East Asian encoding is as likely; then the text is refused."""
    top = decoded[0][1]
    if not _is_short(data):
        return top if top.encoding in EAST_ASIAN else _by_chardet(data, VETO) or top
    if _is_latin(data):
        return top
    near = [(score, found) for score, found in decoded if score.score > decoded[0][0].score - NEAR]
    chinese = next((found for _, found in near if found.encoding == "gb18030"), None)
    if chinese and (named := _by_chardet(data, SURE)) and any(found.text == named.text for _, found in near):
        return named
    as_likely = [(score, found) for score, found in near if score.score > decoded[0][0].score - AS_LIKELY]
    if chinese and all(found is chinese or found.encoding not in EAST_ASIAN for _, found in as_likely):
        return chinese
    languages = decoded[0][0].candidate.languages
    if chinese is None and all({*score.candidate.languages} & {*languages} for score, _ in as_likely):
        return top
    return _unclear(*(found.encoding for _, found in as_likely))


def _unclear(*encodings: str) -> Undecodable:
    return Undecodable("encoding", f"the encoding is not clear, {' or '.join(dict.fromkeys(encodings))}: {ADVICE}")


def _is_short(data: bytes) -> bool:
    return len(data.translate(None, bytes(range(0x80)))) <= SHORT_BYTES


def _refusal(data: bytes, encoding: str) -> Undecodable:
    """Return why the whole is not in the encoding of its sample."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return Undecodable("encoding", _broken(error), encoding)
    return Undecodable("encoding", f"the encoding is not clear: {ADVICE}")


def _sample(data: bytes) -> bytes:
    """Return lines with bytes beyond ASCII, up to the sample's size, each from shortly before the first such byte on.

    In no legacy encoding is a line feed part of a character, nor the first byte beyond ASCII the second of one.
    """
    if len(data) <= SAMPLE_BYTES:
        return data
    taken: list[bytes] = []
    room, end = SAMPLE_BYTES, 0
    while room > 0 and (found := BEYOND_ASCII.search(data, end)):
        line = data.rfind(b"\n", end, found.start()) + 1
        start = max(end, line, found.start() - CONTEXT_BYTES)
        end = data.find(b"\n", found.start()) + 1 or len(data)
        taken.append(data[start : min(end, start + room)])
        room -= len(taken[-1])
    return b"".join(taken)


def _by_chardet(data: bytes, confidence: float) -> Decoded | None:
    """Decode as chardet says, if it is so confident and there are no C1 controls then."""
    import chardet

    # It would believe what the text says about itself, which is not what is asked here.
    guess = chardet.detect(DECLARATION.sub(b"", data[: 32 * SAMPLE_BYTES]))
    if not guess["encoding"] or guess["confidence"] < confidence:
        return None
    try:
        found = next(_strict(data, (guess["encoding"],)), None)
    except LookupError:  # an encoding that Python does not have
        return None
    return None if found is None or any(0x80 <= ord(sign) < 0xA0 for sign in found.text) else found
