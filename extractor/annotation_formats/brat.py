"""brat standoff: a folder with a text (`a.txt`) and its annotations (`a.ann`) for each document.

Offsets count characters of the text as it is. A range in several fragments that are only white space apart is one; any
other discontinuous one is a value without a place. Relations, events, attributes, normalisations and notes are left
out. File names of documents that are written are made of their ids; `IDS` says which is whose, for reading them again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Mention, Notes, annotated, mentions
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.json_list import dump
from extractor.annotation_formats._support.options import WriteOptions
from extractor.data import Json, Span
from extractor.errors import InputError

NAME = "brat"
TITLE = "brat standoff, a folder of .txt and .ann"
SUFFIXES = ()
FOLDER = True

TEXT, ANNOTATIONS = ".txt", ".ann"
IDS = ".extractor-ids.json"
"""A file beside the documents, hidden from brat: names of texts to ids."""

BOUND = re.compile(r"T[^\t]*\t(\S+) (\d+ \d+(?:;\d+ \d+)*)\t([^\t]*)(?:\t.*)?")
OTHERS = {
    "R": "relations",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "notes",
    "*": "equivalences",
}
UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]|^[.\s]+|[.\s]+$')
LONGEST_NAME = 80
"""Characters of a part of a file name, each of up to three bytes."""


def recognises(file: AnnotationFile) -> bool:
    """Tell whether a folder holds an annotation file, or a file is one."""
    if file.is_folder:
        return any(_pairs(file.path))
    return file.name.endswith(ANNOTATIONS)


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents of a folder, or the one of an annotation file. Texts without annotations are left out."""
    if not file.is_folder:
        yield _document(file, os.path.basename(file.path).removesuffix(ANNOTATIONS) + TEXT, file.path, notes)
        return
    ids = _ids(file)
    folder = os.path.basename(os.path.normpath(file.name))
    for path in _pairs(file.path):
        name = os.path.relpath(path, file.path).replace(os.sep, "/").removesuffix(ANNOTATIONS) + TEXT
        yield _document(file, ids.get(name) or f"{folder}/{name}", path, notes)


def _pairs(folder: str) -> Iterator[str]:
    """Yield the paths of the annotation files in a folder and in those below it."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        paths = (os.path.join(where, name) for name in sorted(names, key=_stem) if name.endswith(ANNOTATIONS))
        yield from filter(os.path.isfile, paths)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _ids(folder: AnnotationFile) -> dict[str, str]:
    path = os.path.join(folder.path, IDS)
    if not os.path.isfile(path):
        return {}
    found = AnnotationFile(path, path, folder.max_bytes).json
    return {str(name): str(id) for name, id in found.items()} if isinstance(found, dict) else {}


def _document(file: AnnotationFile, id: str, path: str, notes: Notes) -> AnnotatedText:
    source = path.removesuffix(ANNOTATIONS) + TEXT
    if not os.path.isfile(source):
        raise InputError(f"{path} has no text beside it: there is no {os.path.basename(source)}.")
    text = _utf8(AnnotationFile(source, source, file.max_bytes))
    found: list[Mention] = []
    scattered: dict[str, Json] = {}
    lines = _utf8(AnnotationFile(path, path, file.max_bytes)).split("\n")
    for number, line in enumerate(lines, 1):
        where = f"{path} line {number}"
        if line[:1] != "T":
            notes.add(f"{OTHERS.get(line[:1], 'lines of other kinds')} of brat, left out", bool(line.strip()))
            continue
        type, ranges, shown = _bound(line, where)
        if span := _whole(ranges, text):
            found.append(Mention(type, span))
            _compare(text[slice(*span)], shown, f"{where}: {type} {span[0]}:{span[1]}")
        else:
            scattered.setdefault(type, []).append(shown)
            notes.add("discontinuous ranges, taken as values without a place")
    return annotated(id, text, found, scattered, path)


def _utf8(file: AnnotationFile) -> str:
    try:
        return file.data.decode("utf-8-sig" if file.path.endswith(ANNOTATIONS) else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name} is not UTF-8 (byte {error.start}). Files of brat are; convert it.") from error


def _bound(line: str, where: str) -> tuple[str, list[Span], str]:
    parts = BOUND.fullmatch(line.rstrip("\r"))
    if parts is None:
        raise InputError(
            f"{where} is not an annotation of a text. One is `T1`, a tab, `TYPE START END`, a tab, the text."
        )
    ranges = [tuple(map(int, each.split(" "))) for each in parts[2].split(";")]
    return parts[1], [(start, end) for start, end in ranges], parts[3]


def _whole(ranges: Sequence[Span], text: str) -> Span | None:
    """Return the one range that fragments are which only white space separates; None where there is more."""
    ranges = sorted(ranges)
    gaps = [text[end:start] for (_, end), (start, _) in zip(ranges, ranges[1:], strict=False)]
    return None if any(gap.strip() for gap in gaps) else (ranges[0][0], ranges[-1][1])


def _compare(actual: str, shown: str, what: str) -> None:
    """Raise InputError where the text that an annotation shows is not that of the document, white space apart."""
    if actual and "".join(actual.split()) != "".join(shown.split()):
        raise InputError(f"{what} should be {shown!r}, but the text has {actual!r}. Has the text been changed?")


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of files: a text and its annotations for each document, and their ids."""
    names: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for item in items:
        text = item.text or ""
        name = _name(item.id, taken)
        names[name] = item.id
        yield name, text.encode("utf-8", "replace")
        lines = [
            _line(number, each, text, options.notes) for number, each in enumerate(mentions(item, options.notes), 1)
        ]
        yield name.removesuffix(TEXT) + ANNOTATIONS, "".join(lines).encode("utf-8", "replace")
    yield IDS, dump(names).encode()


def _name(id: str, taken: Counter[str]) -> str:
    """Return the name of the text of an id: a relative path, whatever the id is, that is not taken yet, and take it.

    `taken` counts how often each name was asked for.
    """
    parts = [UNSAFE.sub("_", part.removesuffix(TEXT))[:LONGEST_NAME] or "_" for part in id.split("/") if part]
    base = "/".join(parts) or "_"
    name = f"{base}{TEXT}"
    while name.casefold() in taken:
        taken[f"{base}{TEXT}".casefold()] += 1
        name = f"{base}-{taken[f'{base}{TEXT}'.casefold()]}{TEXT}"
    taken[name.casefold()] += 1
    return name


def _line(number: int, mention: Mention, text: str, notes: Notes) -> str:
    type = "_".join(mention.type.split()) or "_"
    notes.add("labels with white space, which is _ in brat", type != mention.type)
    start, end = mention.span
    fragments = [(start + found.start(), start + found.end()) for found in re.finditer(r"[^\n\r]+", text[start:end])]
    ranges = ";".join(f"{begin} {stop}" for begin, stop in fragments or [(start, end)])
    shown = " ".join(text[begin:stop] for begin, stop in fragments).replace("\t", " ")
    return f"T{number}\t{type} {ranges}\t{shown}\n"
