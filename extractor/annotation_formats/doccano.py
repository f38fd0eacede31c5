"""doccano: JSON Lines with `text` and labelled ranges, of its older and newer versions.

Ranges are `[start, end, label]` under `label`, `labels` or `entities`, or objects with `start_offset` and `end_offset`.
Offsets count UTF-16 units, as doccano does unless a project counts grapheme clusters, which a file does not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Mention, Notes, annotated, mentions
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.json_list import dump
from extractor.annotation_formats._support.options import WriteOptions
from extractor.data import Json, Span
from extractor.errors import InputError
from extractor.text.utf16 import Utf16Offsets

NAME = "doccano"
TITLE = "doccano JSONL, labelled sequences"
SUFFIXES = ()

RANGES = ("label", "labels", "entities", "annotations")
OWN = ("Comments", "annotation_approver", "relations", "cats")


def recognises(file: AnnotationFile) -> bool:
    """Tell whether the first row is one of doccano's."""
    row = file.first_object
    if not isinstance(row.get("text"), str) or "data" in row or isinstance(row.get("spans"), Mapping):
        return False
    ranges = next((row[key] for key in RANGES if isinstance(row.get(key), list)), None)
    if ranges and isinstance(ranges[0], Mapping):
        return "start_offset" in ranges[0]
    return ranges is not None and ("entities" not in row or any(key in row for key in OWN))


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the rows. Labels of a whole text are values of the field `label` (`cats`) without a place."""
    for number, (where, row) in enumerate(file.objects(), 1):
        text = row.get("text", row.get("data"))
        if not isinstance(text, str):
            raise InputError(f"{where} has no `text`. A row of doccano has `text` and `label` or `entities`.")
        notes.add("relations, left out", len(row.get("relations") or ()))
        name = str(row.get("id", file.row_id(number)))
        yield _annotated(name, text, row, where)


def _annotated(name: str, text: str, row: Mapping[str, Json], where: str) -> AnnotatedText:
    offsets = Utf16Offsets.of(text)
    found: list[Mention] = []
    values: dict[str, Json] = {}
    for key in (*RANGES, "cats"):
        for item in row.get(key) or ():
            if isinstance(item, str):
                values.setdefault(key, []).append(item)
            else:
                found.append(_mention(item, offsets, where))
    return annotated(name, text, found, values, where)


def _mention(item: Json, offsets: Utf16Offsets, where: str) -> Mention:
    try:
        start, end, label = (
            (item["start_offset"], item["end_offset"], item.get("label_name", item["label"]))
            if isinstance(item, Mapping)
            else item
        )
        return Mention(str(label), (offsets.decode(int(start)), offsets.decode(int(end))))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        shape = "`[start, end, label]`, or an object with `start_offset`, `end_offset` and `label`"
        raise InputError(f"{where}: {dump(item)} is not a label ({error}). A label is {shape}.") from error


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield a line for each text; doccano keeps the `id` among its metadata."""
    for item in items:
        text = item.text or ""
        offsets = Utf16Offsets.of(text)
        labels = [[*_units(each.span, offsets), each.type] for each in mentions(item, options.notes)]
        yield f"{dump({'id': item.id, 'text': text, 'label': labels})}\n".encode()


def _units(span: Span, offsets: Utf16Offsets) -> tuple[int, int]:
    return offsets.encode(span[0]), offsets.encode(span[1])
