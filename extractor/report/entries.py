"""A record and its text as an entry of the report: values, marked places, what is odd about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

from extractor.data import Conflict, Json, Record, Span, Withheld
from extractor.errors import Problem
from extractor.report.highlighting import Mark, excerpt, hide
from extractor.task.json_pointer import Scalar, scalars
from extractor.task.redaction import MASK, redact
from extractor.task.task import Task
from extractor.text.places import TextIndex, occurrences, written

LONGEST_VALUE = 300

SHORT = 4
"""Characters: a sensitive value that is shorter is masked where it stands as a word, not inside of words."""

LONGEST_WORD = 80

_WORD_CHARACTERS = r"[\w.+=@#$%^&*!~?-]"
_WORD = re.compile(f"{_WORD_CHARACTERS}*", re.ASCII)
_WORD_END = re.compile(rf"{_WORD_CHARACTERS}*\Z", re.ASCII)

WITHHELD = "The text is withheld: no answer says what of it is sensitive."


@dataclass(frozen=True, slots=True)
class View:
    """How records are looked at. A `task` knows which values must have a place and which are sensitive; with `redact`
    sensitive ones are masked wherever they stand. `fields` numbers the fields."""

    task: Task | None = None
    redact: bool = False
    fields: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a document is shown: characters of its text, and values."""

    room: int
    values: int


def placeless(record: Record, task: Task | None) -> set[str]:
    """Pointers of the values that should stand in the text and have no place there.

    Without a task all strings and numbers should; a schema may say that an enum need not.
    """
    found = [scalar for scalar in scalars(record.data or {}) if scalar.value is not None]
    if task is None or record.data is None:
        must = {scalar.pointer for scalar in found if not isinstance(scalar.value, bool)}
    else:
        must = {leaf.pointer for leaf in task.leaves(record.data) if leaf.value is not None and leaf.ground != "none"}
    return {pointer for pointer in must if not record.spans.get(pointer)}


def lowest(record: Record) -> float | None:
    """The confidence of the value that is least sure; None where no value has any."""
    valued = (scalar.pointer for scalar in scalars(record.data or {}) if scalar.value is not None)
    return min((record.confidence[pointer] for pointer in valued if pointer in record.confidence), default=None)


def rank(record: Record, task: Task | None) -> tuple[int, float]:
    """Failed records first, then those with values that have no place, then what else is odd, then the least sure."""
    sure = lowest(record)
    oddity = 0 if record.status == "failed" else 1 if placeless(record, task) else 2 if _oddities(record) else 3
    return oddity, 1.0 if sure is None else sure


def _oddities(record: Record) -> list[str]:
    """What there is to look at in a record besides values without a place."""
    of_examples = "example" in record.provenance.grounded.values()
    found = {"conflict": record.conflicts, "withheld": record.provenance.withheld, "example": of_examples}
    return [name for name, there in found.items() if there]


def entry(record: Record, text: str | Problem, view: View, detail: Detail) -> dict[str, Json]:
    """What the page is told about a document; keys are left out where there is nothing to say."""
    shown = redact(record, view.task) if view.redact and view.task else record
    odd = placeless(record, view.task)
    found = list(scalars(shown.data or {}) if shown.data else ())
    kept = found[: detail.values]
    numbers = {scalar.pointer: number for number, scalar in enumerate(kept)}
    facts = {
        "id": record.id,
        "status": record.status,
        "flags": [*(["placeless"] if odd else []), *_oddities(record)],
        "low": lowest(record),
        "values": [_value(scalar, shown, odd, view) for scalar in kept],
        "more": len(found) - len(kept),
        "withheld": [_withheld(each) for each in shown.provenance.withheld],
        "errors": [failure.as_json() for failure in record.errors],
        "about": _about(record),
    }
    told = {key: value for key, value in facts.items() if _says_something(value)}
    if isinstance(text, Problem) or _is_withheld(record, view):
        return told | {"note": text.message if isinstance(text, Problem) else WITHHELD}
    return told | {"parts": _parts(text, list(_sensitive(record, shown, text)), _marks(record, numbers), detail.room)}


def _value(scalar: Scalar, record: Record, odd: set[str], view: View) -> dict[str, Json]:
    facts = {
        "field": (view.fields or {}).get(scalar.field, 0),
        "item": _item(scalar),
        "text": None if scalar.value is None else _shown(scalar.value),
        "sure": record.confidence.get(scalar.pointer),
        "how": record.provenance.grounded.get(scalar.pointer),
        "placeless": scalar.pointer in odd,
        "others": [_shown(other.value) for other in _others(record, scalar.pointer)],
    }
    return {key: value for key, value in facts.items() if _says_something(value) or key == "text"}


def _withheld(each: Withheld) -> dict[str, Json]:
    return {"field": each.field, "text": _shown(each.value), "why": each.code, "sure": each.confidence}


def _says_something(value: Json) -> bool:
    """Numbers always do: a confidence of 0 is one."""
    return not isinstance(value, bool | str | list | NoneType) or bool(value)


def _item(scalar: Scalar) -> str:
    """Which object of a list a value belongs to, counted from 1: `2` for `/条目/1/名称`."""
    names, parts = scalar.field.split("/"), scalar.pointer.split("/")[1:]
    places = [str(int(part) + 1) for part in parts if part.isdecimal() and part not in names]
    return ".".join(places) if len(names) > 1 else ""


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _others(record: Record, pointer: str) -> Sequence[Conflict]:
    """Return the values that other parts of the document gave."""
    return record.conflicts.get(pointer, ())


def _about(record: Record) -> dict[str, Json]:
    source, usage = record.source, record.usage
    facts = {
        "path": source.path,
        "encoding": source.encoding,
        "characters": source.chars,
        "attempts": record.attempts,
        "tokens read": usage.prompt_tokens,
        "tokens written": usage.completion_tokens,
        "seconds": round(usage.seconds, 3),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _marks(record: Record, numbers: Mapping[str, int]) -> list[Mark]:
    marks = [Mark(*span, number) for pointer, number in numbers.items() for span in record.spans.get(pointer, ())]
    for pointer, number in numbers.items():
        places = (other.span for other in _others(record, pointer))
        marks += [Mark(place[0], place[1], number, other=True) for place in places if place]
    return sorted(marks, key=lambda mark: (mark.start, mark.end))


def _parts(text: str, hidden: Sequence[Span], marks: Sequence[Mark], room: int) -> list[Json]:
    """The text as pieces, what is hidden masked."""
    inside = [mark for mark in marks if mark.end <= len(text)]
    kept, moved = hide(text, hidden, MASK, inside)
    grown = max(0, len(kept) - len(text))
    return [part.in_utf16() for part in excerpt(kept, moved, room + grown)]


def _is_withheld(record: Record, view: View) -> bool:
    """Whether a text may hold sensitive values that no answer names."""
    nodes = () if view.task is None else view.task.compiled.nodes.values()
    secrets = any(node.annotations.sensitive for node in nodes)
    return view.redact and secrets and record.status == "failed"


def _sensitive(record: Record, shown: Record, text: str) -> Iterator[Span]:
    """Every place of every masked value, in whatever notation, also of values that the run itself had masked.

    The word that a value is part of goes with it: a model may have cut a password short.
    """
    yield from (_whole_word(text, start, end) for start, end in _masked(record, shown, text))


def _whole_word(text: str, start: int, end: int) -> Span:
    before = _WORD_END.search(text[max(0, start - LONGEST_WORD) : start])
    behind = _WORD.match(text, end, end + LONGEST_WORD)
    return start - (len(before[0]) if before else 0), behind.end() if behind else end


def _masked(record: Record, shown: Record, text: str) -> Iterator[Span]:
    masked = {scalar.pointer for scalar in scalars(shown.data or {}) if scalar.value == MASK}
    values = {scalar.pointer: scalar.value for scalar in scalars(record.data or {})}
    for pointer in masked:
        others = _others(record, pointer)
        spans = [*record.spans.get(pointer, ()), *(other.span for other in others if other.span)]
        yield from spans
        for value in (values.get(pointer), *(other.value for other in others), *(text[a:b] for a, b in spans)):
            if value not in (None, MASK, "") and not isinstance(value, dict | list):
                yield from _everywhere(value, text)
    for each, masked_one in zip(record.provenance.withheld, shown.provenance.withheld, strict=True):
        if masked_one.value == MASK:
            yield from each.spans
            for value in {written(each.value), *(text[start:end] for start, end in each.spans)} - {MASK, ""}:
                yield from _everywhere(value, text)


def _everywhere(value: Json, text: str) -> Iterator[Span]:
    """Every place of a value, to the letter first, then in other notations, which are only looked for without it."""
    if len(written(value)) >= SHORT:
        yield from occurrences(text, written(value))
    while places := TextIndex(text).find_by_meaning(value):
        yield from places
        for start, end in places:
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
