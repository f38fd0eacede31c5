"""spaCy: the bytes of a DocBin (`.spacy`), or of one Doc.

They are read and written without spaCy, which trusts what it loads: a file of a stranger ends its process, and here it
is an error. Entities are `doc.ents`; on top of them the span groups are read, and mentions that overlap an entity are
written as the group `sc`. The id is `doc.user_data["id"]`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from extractor.annotation_formats._support.annotated_text import (
    AnnotatedText,
    Mention,
    Notes,
    annotated,
    mentions,
    without_overlaps,
)
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.options import WriteOptions
from extractor.annotation_formats._support.spacy_strings import (
    ENT_IOB,
    ENT_TYPE,
    LENGTH,
    ORTH,
    SPACY,
    names,
    string_id,
)
from extractor.annotation_formats._support.tokens import joined, tokens
from extractor.data import Json, Span
from extractor.errors import InputError, UsageError

NAME = "spacy"
TITLE = "spaCy, the bytes of a DocBin (those of a Doc are read)"
SUFFIXES = (".spacy",)

INSIDE, OUTSIDE, BEGIN = 1, 2, 3
"""Values of ENT_IOB; 0 is unknown."""
GROUP = "sc"
"""The span group that spaCy looks for by default."""
PACKED_SPAN = ">QQQllll"
"""Of a span group: id, entry of a knowledge base, label, first token, one after the last, the same in characters."""
START_BYTES = 64


def recognises(file: AnnotationFile) -> bool:
    """Tell whether the first bytes are those of a DocBin, which is packed, or of a Doc."""
    head = file.head
    if head[:1] == b"x":
        try:
            return b"version" in zlib.decompressobj().decompress(head, START_BYTES)
        except zlib.error:
            return False
    return 0x80 <= (head[:1] or b"\0")[0] <= 0x8F and head[1:6] == b"\xa4text"


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents."""
    msgpack = _msgpack()
    try:
        data = _unpacked(file) if file.head[:1] == b"x" else file.data
        message = msgpack.unpackb(data, strict_map_key=False)
        for number, doc in enumerate(_docs(message, msgpack), 1):
            where = f"{file.name} document {number}"
            yield annotated(doc.id or file.row_id(number), doc.text, doc.mentions, None, where)
    except (
        zlib.error,
        struct.error,
        msgpack.UnpackException,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        message = f"{file.name} is not a DocBin of spaCy, nor a Doc ({type(error).__name__}: {error})."
        raise InputError(f"{message} Has it been cut off?") from error


def _msgpack() -> ModuleType:
    try:
        import msgpack
    except ModuleNotFoundError as error:
        raise UsageError("spaCy's bytes need the package msgpack: pip install 'chatglm3-extractor[spacy]'") from error
    found: ModuleType = msgpack
    return found


def _unpacked(file: AnnotationFile) -> bytes:
    packer = zlib.decompressobj()
    data = packer.decompress(file.data, file.max_bytes + 1)
    if len(data) > file.max_bytes:
        raise InputError(f"{file.name} is more than {file.max_bytes:,} bytes when unpacked: raise --max-bytes.")
    if not packer.eof:
        raise ValueError("its end is missing")
    return data


@dataclass(frozen=True, slots=True)
class _Doc:
    id: str
    text: str
    mentions: Sequence[Mention]


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of a document: where they are in its text, and their entities as numbers."""

    spans: Sequence[Span]
    iob: Sequence[int]
    types: Sequence[int]


def _docs(message: Mapping[str, Json], msgpack: ModuleType) -> Iterator[_Doc]:
    known = names(str(each) for each in message["strings"])
    if "text" in message:
        yield _whole_doc(message, known, msgpack)
        return
    attributes = list(message["attrs"])
    table = np.frombuffer(message["tokens"], dtype="<u8").reshape(-1, len(attributes))
    spaces = np.frombuffer(message["spaces"], dtype=bool)
    ends = np.cumsum(np.frombuffer(message["lengths"], dtype="<i4"))
    if len(spaces) != len(table) or (
        len(ends) and (ends[-1] != len(table) or ends[0] < 0 or (np.diff(ends) < 0).any())
    ):
        raise ValueError("the lengths are not those of the tokens")
    for number, end in enumerate(ends):
        rows = table[ends[number - 1] if number else 0 : end]
        words = [known[int(each)] for each in rows[:, attributes.index(ORTH)]]
        unknown = _at(message.get("flags"), number, {}).get("has_unknown_spaces")
        text, spans = _put_together(words, None if unknown else spaces[end - len(rows) : end].tolist())
        found = _mentions(_Tokens(spans, *_entities(rows, attributes)), known)
        found += _grouped(_at(message.get("span_groups"), number, b""), known, msgpack)
        data = msgpack.unpackb(_at(message.get("user_data"), number, None) or b"\x80", strict_map_key=False)
        yield _Doc(str(data.get("id", "")), text, found)


def _at(items: Sequence[Json] | None, number: int, default: Json) -> Json:
    return items[number] if items and number < len(items) else default


def _whole_doc(message: Mapping[str, Json], known: Mapping[int, str], msgpack: ModuleType) -> _Doc:
    attributes, body = list(message["array_head"]), message["array_body"]
    table = np.frombuffer(body[b"data"], dtype="<u8").reshape(-1, len(attributes))
    spans, at = [], 0
    for length, space in zip(table[:, attributes.index(LENGTH)], table[:, attributes.index(SPACY)], strict=True):
        spans.append((at, at + int(length)))
        at += int(length) + int(space)
    found = _mentions(_Tokens(spans, *_entities(table, attributes)), known)
    found += _grouped(message.get("spans") or b"", known, msgpack)
    keys, values = (
        msgpack.unpackb(message.get(name) or b"\x90", strict_map_key=False, use_list=False)
        for name in ("user_data_keys", "user_data_values")
    )
    return _Doc(str(dict(zip(keys, values, strict=False)).get("id", "")), str(message["text"]), found)


def _entities(rows: np.ndarray, attributes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return ENT_IOB and ENT_TYPE of each token; nothing where a file holds no entities."""
    if not {ENT_IOB, ENT_TYPE} <= set(attributes):
        return [OUTSIDE] * len(rows), [0] * len(rows)
    return rows[:, attributes.index(ENT_IOB)].tolist(), rows[:, attributes.index(ENT_TYPE)].tolist()


def _put_together(words: Sequence[str], spaces: Sequence[bool] | None) -> tuple[str, list[Span]]:
    if spaces is None:
        whole = joined(words)
        return whole.text, [(start, start + len(word)) for start, word in zip(whole.starts, words, strict=True)]
    pieces, spans, at = [], [], 0
    for word, space in zip(words, spaces, strict=True):
        spans.append((at, at + len(word)))
        pieces.append(word + " " * bool(space))
        at += len(pieces[-1])
    return "".join(pieces), spans


def _mentions(doc: _Tokens, known: Mapping[int, str]) -> list[Mention]:
    found: list[Mention] = []
    open_type, begin, end = 0, 0, 0
    for span, iob, type in [*zip(doc.spans, doc.iob, doc.types, strict=True), ((0, 0), OUTSIDE, 0)]:
        goes_on = iob == INSIDE and type == open_type
        if open_type and not goes_on:
            found.append(Mention(known[open_type], (begin, end)))
        if not goes_on:
            open_type, begin = type if iob in (INSIDE, BEGIN) else 0, span[0]
        end = span[1]
    return found


def _grouped(packed: bytes, known: Mapping[int, str], msgpack: ModuleType) -> list[Mention]:
    """Return the mentions of all span groups."""
    found = msgpack.unpackb(packed, strict_map_key=False) if packed else {}
    groups = [msgpack.unpackb(each, strict_map_key=False) for each in found]
    spans = [struct.unpack(PACKED_SPAN, each) for group in groups for each in group["spans"]]
    return [Mention(known[label], (start, end)) for _, _, label, _, _, start, end in spans]


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield the bytes of one DocBin."""
    msgpack = _msgpack()
    strings: set[str] = {""}
    written = [_written(item, strings, options.notes, msgpack) for item in items]
    message = {
        "version": "0.1",
        "attrs": [ORTH, ENT_IOB, ENT_TYPE],
        "tokens": b"".join(each.table for each in written),
        "spaces": b"".join(each.spaces for each in written),
        "lengths": np.asarray([len(each.spaces) for each in written], dtype="<i4").tobytes(),
        "strings": sorted(strings),
        "cats": [{} for _ in written],
        "flags": [{"has_unknown_spaces": False} for _ in written],
        "span_groups": [each.groups for each in written],
        "user_data": [msgpack.packb({"id": each.id}) for each in written],
    }
    yield zlib.compress(msgpack.packb(message))


@dataclass(frozen=True, slots=True)
class _Written:
    id: str
    table: bytes
    spaces: bytes
    groups: bytes


def _written(item: AnnotatedText, strings: set[str], notes: Notes, msgpack: ModuleType) -> _Written:
    text = (item.text or "").encode("utf-8", "replace").decode()
    found = _trimmed(mentions(item, notes), text, notes)
    entities = without_overlaps(found, Notes())
    spans, spaces = _tokens(text, {at for each in found for at in each.span})
    types = {at: each for each in entities for at in range(*each.span)}
    rows = []
    for start, end in spans:
        each = types.get(start)
        iob = OUTSIDE if each is None else BEGIN if start == each.span[0] else INSIDE
        rows.append((string_id(text[start:end]), iob, string_id(each.type) if each else 0))
    whole = set(entities)
    others = [each for each in found if each not in whole]
    notes.add(f"mentions that overlap a longer one, written as the span group {GROUP}", len(others))
    strings |= {text[start:end] for start, end in spans} | {each.type for each in found}
    table = np.asarray(rows, dtype="<u8").tobytes()
    return _Written(item.id, table, bytes(spaces), _group(others, spans, msgpack) if others else b"")


def _trimmed(found: Iterable[Mention], text: str, notes: Notes) -> list[Mention]:
    """Return mentions without white space at their ends, which no entity of spaCy has."""
    kept = {}
    for each in found:
        start, end = each.span
        part = text[start:end]
        span = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
        notes.add("mentions cut of the white space at their ends", span != each.span)
        if span[0] < span[1]:
            kept[each.type, span] = Mention(each.type, span)
    return list(kept.values())


def _tokens(text: str, borders: set[int]) -> tuple[list[Span], list[bool]]:
    """Return tokens that make up the whole text with a space after some: other white space is a token of its own."""
    spans: list[Span] = []
    spaces: list[bool] = []
    at = 0
    for start, end in [*tokens(text, borders), (len(text), len(text))]:
        if spans and text[at:start].startswith(" "):
            spaces[-1] = True
            at += 1
        if at < start:
            spans.append((at, start))
            spaces.append(False)
        if start < end:
            spans.append((start, end))
            spaces.append(False)
        at = end
    return spans, spaces


def _group(found: Sequence[Mention], spans: Sequence[Span], msgpack: ModuleType) -> bytes:
    begins = {start: at for at, (start, _) in enumerate(spans)}
    ends = {end: at + 1 for at, (_, end) in enumerate(spans)}
    packed = [
        struct.pack(PACKED_SPAN, 0, 0, string_id(each.type), begins[start], ends[end], start, end)
        for each in found
        for start, end in [each.span]
    ]
    group = msgpack.packb({"name": GROUP, "attrs": {}, "spans": packed})
    return bytes(msgpack.packb({group: [GROUP]}))
