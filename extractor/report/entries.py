"""A record and its text as an entry of the report: values, highlights, what is odd about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

from extractor.data import Conflict, Json, Record, Span, Withheld
from extractor.errors import Problem
from extractor.report.highlighting import Excerpt, Highlight, excerpts, hide
from extractor.task.redaction import MASK, redact
from extractor.task.task import Task
from extractor.text.json_pointer import Scalar, scalars
from extractor.text.places import TextIndex, occurrences, written

LONGEST_VALUE = 300

SHORT = 4
"""Characters: a sensitive value that is shorter is masked where it is a word, not inside of words."""

LONGEST_WORD = 80

_WORD_CHARACTERS = r"[\w.+=@#$%^&*!~?-]"
_WORD = re.compile(f"{_WORD_CHARACTERS}*", re.ASCII)
_WORD_END = re.compile(rf"{_WORD_CHARACTERS}*\Z", re.ASCII)

WITHHELD = "The text is withheld: no answer says what of it is sensitive."


@dataclass(frozen=True, slots=True)
class View:
    """How records are shown. A `task` knows which values must occur in the text and which are sensitive; `redact` masks
    sensitive ones wherever they occur. `fields` numbers the fields."""

    task: Task | None = None
    redact: bool = False
    fields: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class DetailLimit:
    """How much of a document is shown: characters of its text, and values."""

    characters: int
    values: int


def ungrounded(record: Record, task: Task | None) -> set[str]:
    """Return the pointers of the values that should occur in the text and have no place there.

    Without a task all strings and numbers should; a schema may say that an enum need not.
    """
    found = [scalar for scalar in scalars(record.data or {}) if scalar.value is not None]
    if task is None or record.data is None:
        must = {scalar.pointer for scalar in found if not isinstance(scalar.value, bool)}
    else:
        must = {leaf.pointer for leaf in task.leaves(record.data) if leaf.value is not None and leaf.ground != "none"}
    return {pointer for pointer in must if not record.spans.get(pointer)}


def lowest_confidence(record: Record) -> float | None:
    """Return the lowest confidence of a value; None where no value has any."""
    valued = (scalar.pointer for scalar in scalars(record.data or {}) if scalar.value is not None)
    return min((record.confidence[pointer] for pointer in valued if pointer in record.confidence), default=None)


def rank(record: Record, task: Task | None) -> tuple[int, float]:
    """Return the sort key: failed, partial, with ungrounded values, odd otherwise; then the lowest confidence."""
    signs = (
        record.status == "failed",
        record.status == "partial",
        bool(ungrounded(record, task)),
        bool(_oddities(record)),
    )
    confidence = lowest_confidence(record)
    return signs.index(True) if any(signs) else len(signs), 1.0 if confidence is None else confidence


def _oddities(record: Record) -> list[str]:
    """Return what there is to look at in a record besides ungrounded values."""
    of_examples = "example" in record.provenance.grounded.values()
    found = {"conflict": record.conflicts, "withheld": record.provenance.withheld, "example": of_examples}
    return [name for name, there in found.items() if there]


def entry(record: Record, text: str | Problem, view: View, limit: DetailLimit) -> dict[str, Json]:
    """Return the page's data about a document; keys without content are left out."""
    data, excerpts = details(record, text, view, limit)
    return data if excerpts is None else data | {"excerpts": [each.in_utf16() for each in excerpts]}


def details(
    record: Record, text: str | Problem, view: View, limit: DetailLimit
) -> tuple[dict[str, Json], list[Excerpt] | None]:
    """Return what there is to say of a document, and its text in pieces; in the place of those a note says why none."""
    shown = redact(record, view.task) if view.redact and view.task else record
    odd = ungrounded(record, view.task)
    found = list(scalars(shown.data or {}) if shown.data else ())
    kept = found[: limit.values]
    numbers = {scalar.pointer: number for number, scalar in enumerate(kept)}
    facts = {
        "id": record.id,
        "status": record.status,
        "code": record.code,
        "flags": [*(["ungrounded"] if odd else []), *_oddities(record)],
        "lowest_confidence": lowest_confidence(record),
        "values": [_value(scalar, shown, odd, view) for scalar in kept],
        "more": len(found) - len(kept),
        "withheld": [_withheld(each) for each in shown.provenance.withheld],
        "errors": [error.as_json() for error in record.errors],
        "about": _about(record),
    }
    data = {key: value for key, value in facts.items() if _has_content(value)}
    if isinstance(text, Problem) or _is_withheld(record, view):
        return data | {"note": text.message if isinstance(text, Problem) else WITHHELD}, None
    hidden, highlights = list(_sensitive(record, shown, text)), _highlights(record, numbers)
    return data, _excerpts(text, hidden, highlights, limit.characters)


def _value(scalar: Scalar, record: Record, odd: set[str], view: View) -> dict[str, Json]:
    facts = {
        "field": (view.fields or {}).get(scalar.field, 0),
        "item": _item(scalar),
        "text": None if scalar.value is None else _shown(scalar.value),
        "normalized": record.normalized.get(scalar.pointer),
        "confidence": record.confidence.get(scalar.pointer),
        "grounding": record.provenance.grounded.get(scalar.pointer),
        "ungrounded": scalar.pointer in odd,
        "conflicts": [_shown(other.value) for other in _conflicts(record, scalar.pointer)],
    }
    return {key: value for key, value in facts.items() if _has_content(value) or key == "text"}


def _withheld(each: Withheld) -> dict[str, Json]:
    return {"field": each.field, "text": _shown(each.value), "code": each.code, "confidence": each.confidence}


def _has_content(value: Json) -> bool:
    """Tell whether a value is worth a key. Numbers always are: a confidence of 0 is one."""
    return not isinstance(value, bool | str | list | NoneType) or bool(value)


def _item(scalar: Scalar) -> str:
    """Return the object of a list that a value belongs to, counted from 1: `2` for `/条目/1/名称`."""
    names, parts = scalar.field.split("/"), scalar.pointer.split("/")[1:]
    places = [str(int(part) + 1) for part in parts if part.isdecimal() and part not in names]
    return ".".join(places) if len(names) > 1 else ""


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _conflicts(record: Record, pointer: str) -> Sequence[Conflict]:
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
    noted = {"notes": "; ".join(source.notes)} if source.notes else {}
    return {name: value for name, value in facts.items() if value is not None} | noted


def _highlights(record: Record, numbers: Mapping[str, int]) -> list[Highlight]:
    found = [Highlight(*span, number) for pointer, number in numbers.items() for span in record.spans.get(pointer, ())]
    for pointer, number in numbers.items():
        spans = (other.span for other in _conflicts(record, pointer))
        found += [Highlight(span[0], span[1], number, other=True) for span in spans if span]
    return sorted(found, key=lambda each: (each.start, each.end))


def _excerpts(text: str, hidden: Sequence[Span], highlights: Sequence[Highlight], room: int) -> list[Excerpt]:
    """Return the text in pieces, with a mask for what is hidden."""
    inside = [each for each in highlights if each.end <= len(text)]
    masked, moved = hide(text, hidden, MASK, inside)
    grown = max(0, len(masked) - len(text))
    return excerpts(masked, moved, room + grown)


def _is_withheld(record: Record, view: View) -> bool:
    """Tell whether a text may hold sensitive values that no answer names."""
    nodes = () if view.task is None else view.task.compiled.nodes.values()
    secrets = any(node.annotations.sensitive for node in nodes)
    return view.redact and secrets and record.status == "failed"


def _sensitive(record: Record, shown: Record, text: str) -> Iterator[Span]:
    """Yield every occurrence of every masked value, in every notation, also of values that the run itself masked.

    The word that a value is part of is masked with it: a model may have cut a password short.
    """
    yield from (_whole_word(text, start, end) for start, end in _masked(record, shown, text))


def _whole_word(text: str, start: int, end: int) -> Span:
    before = _WORD_END.search(text[max(0, start - LONGEST_WORD) : start])
    after = _WORD.match(text, end, end + LONGEST_WORD)
    return start - (len(before[0]) if before else 0), after.end() if after else end


def _masked(record: Record, shown: Record, text: str) -> Iterator[Span]:
    masked = {scalar.pointer for scalar in scalars(shown.data or {}) if scalar.value == MASK}
    values = {scalar.pointer: scalar.value for scalar in scalars(record.data or {})}
    for pointer in masked:
        others = _conflicts(record, pointer)
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
    """Yield every occurrence of a value: exact ones first, then, with these blanked out, those in other notations."""
    if len(written(value)) >= SHORT:
        yield from occurrences(text, written(value))
    while places := TextIndex(text).find_by_meaning(value, any_border=True):
        yield from places
        for start, end in places:
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
