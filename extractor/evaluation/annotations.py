"""Rows as annotations, whoever wrote them: records of ours, `id` with `data`, or texts with marked entities.

An entity is `{"type", "start", "end", "text"?}` or `[start, end, type]`, under `entities`, `spans` or `label(s)`; the
entities of a row become lists of values, one field for each type. This module opens no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extractor.data import STATUSES, Json, Span, Status
from extractor.errors import InputError
from extractor.text.json_pointer import scalars

Mention = tuple[str, Span]
"""A field, and where in the text a value of it occurs."""

_ENTITIES = ("entities", "spans", "label", "labels")
_DATA = ("data", "gold")


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one side, the gold or a run, says about one document.

    `data` is None where there is no answer at all (a failed record), `mentions` None where the side has no places.
    `confidence` is keyed by JSON Pointer into `data`. `text` is the document, where it is available; `status` that of
    a record.
    """

    id: str
    data: Mapping[str, Json] | None
    mentions: frozenset[Mention] | None = None
    confidence: Mapping[str, float] = field(default_factory=dict)
    text: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """A typed range of a text, and what stands there."""

    type: str
    span: Span
    value: str


def read_annotation(row: Mapping[str, Json], where: str, text: str | None = None) -> Annotation:
    """Return the annotation of a row. `where` names it in messages; `text` is the document for a row without it.

    Raise InputError for a row that is not one, or whose entities do not occur where it says.
    """
    try:
        return _read(row, where, text if row.get("text") is None else row["text"])
    except (TypeError, ValueError, KeyError, AttributeError, StopIteration, RecursionError) as error:
        raise InputError(
            f"{where} is not an answer ({type(error).__name__}: {error}). A row has an `id` and `data` (field to "
            f"value), or `text` and `entities` with `type`, `start` and `end`."
        ) from error


def _read(row: Mapping[str, Json], where: str, text: str | None) -> Annotation:
    name, spans = str(row["id"]), row.get("spans")
    data = next((row[key] for key in _DATA if isinstance(row.get(key), Mapping)), None)
    mentions: frozenset[Mention] | None = None
    if (entities := entities_of(row, text, where)) is not None:
        mentions = frozenset((entity.type, entity.span) for entity in entities)
        data = _lists(entities) if data is None else data
    elif isinstance(spans, Mapping):
        data = _data_of_spans(spans, text) if "data" not in row else data
        fields = {pointer: field for field, pointer, _ in scalars(data)}
        mentions = frozenset((fields[pointer], _span(span)) for pointer, found in spans.items() for span in found)
    elif data is None and "data" not in row:
        raise ValueError("it has no values")
    confidence = {pointer: float(each) for pointer, each in (row.get("confidence") or {}).items() if each is not None}
    status = next((status for status in STATUSES if status == row.get("status")), None)
    return Annotation(name, data, mentions, confidence, text, status)


def entities_of(row: Mapping[str, Json], text: str | None, where: str) -> list[Entity] | None:
    """Return the entities that a row marks in its text, None where it is not of that kind. Raise InputError, and what
    `read_annotation` turns into one, for those that are none."""
    marked = next((row[key] for key in _ENTITIES if isinstance(row.get(key), list)), None)
    return None if marked is None else [_entity(item, text, where) for item in marked]


def _span(pair: Sequence[int]) -> Span:
    start, end = pair
    if not 0 <= start < end:
        raise ValueError(f"{start}:{end} is not a range of characters")
    return int(start), int(end)


def _entity(item: Json, text: str | None, where: str) -> Entity:
    if isinstance(item, Mapping):
        kind = next(item[key] for key in ("type", "label", "entity_group") if key in item)
        span, written = _span((item["start"], item["end"])), item.get("text")
    else:
        start, end, kind = item
        span, written = _span((start, end)), None
    actual = None if text is None else text[span[0] : span[1]]
    if None not in (written, actual) and written != actual:
        raise InputError(f"{where}: {kind} {span[0]}:{span[1]} should be {written!r}, but the text has {actual!r}.")
    if written is None and actual is None:
        raise ValueError("an entity needs its `text`, or the row the document's")
    return Entity(str(kind), span, str(actual if written is None else written))


def _lists(entities: Sequence[Entity]) -> dict[str, Json]:
    """Return the distinct values of each type."""
    data: dict[str, dict[str, None]] = {}
    for entity in entities:
        data.setdefault(entity.type, {})[entity.value] = None
    return {kind: list(values) for kind, values in data.items()}


def _data_of_spans(spans: Mapping[str, Sequence[Sequence[int]]], text: str | None) -> dict[str, Json]:
    """Return the data of spans alone: `/手机号` is a value, `/人名/0` the item of a list."""
    if text is None:
        raise ValueError("spans alone need the document's `text` beside them")
    data: dict[str, Json] = {}
    for pointer, ((start, end), *_) in spans.items():
        name, _, rest = pointer.removeprefix("/").partition("/")
        name, value = name.replace("~1", "/").replace("~0", "~"), text[start:end]
        if rest and not rest.isdecimal():
            raise ValueError(f"{pointer} is part of an object: give `data` as well")
        if rest:
            data.setdefault(name, []).append(value)
        else:
            data[name] = value
    return data
