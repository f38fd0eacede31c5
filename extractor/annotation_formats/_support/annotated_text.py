"""What all formats are read to and written from: a text, the values of its fields, and where in it they occur.

Formats of entities know no fields but typed mentions: a field is the type, and each of its values an item of a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from extractor.data import Json, Span
from extractor.errors import InputError
from extractor.text.json_pointer import escape_pointer, scalars, unescape_pointer
from extractor.text.places import written

MOST_CHARACTERS = 100_000_000
"""Of all mentions of a text: ranges may lie over one another, each as long as the text."""


class Notes:
    """What a conversion does not carry over, each kind with how often it came up."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Count something that is left out or changed."""
        if count:
            self.counts[what] += count

    def lines(self) -> list[str]:
        """Return a line for each kind."""
        return [f"{what}: {count}" for what, count in self.counts.items()]


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """One document. `data` is None where there is no answer, `text` where the document is not at hand.

    `spans` and `confidence` are keyed by JSON Pointer into `data`; offsets count characters. `model` names what gave
    the answer, empty for people. `where` is the place in its file, for messages.
    """

    id: str
    text: str | None
    data: Mapping[str, Json] | None
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    where: str = ""

    def as_row(self) -> dict[str, Json]:
        """Return the row of gold; `confidence` and `text` only where there are any."""
        row: dict[str, Json] = {"id": self.id}
        row |= {} if self.text is None else {"text": self.text}
        row |= {"data": self.data, "spans": {pointer: [list(span) for span in found] for pointer, found in self.placed}}
        return row | ({"confidence": dict(self.confidence)} if self.confidence else {})

    @property
    def placed(self) -> Iterator[tuple[str, Sequence[Span]]]:
        """The pointers of values with a place, with their places."""
        return ((pointer, found) for pointer, found in self.spans.items() if found)


@dataclass(frozen=True, slots=True)
class Mention:
    """A typed range of a text. `value` is what stands there, where the text is not at hand to say so."""

    type: str
    span: Span
    confidence: float | None = None
    value: str | None = None


def annotated(
    id: str, text: str | None, mentions: Iterable[Mention], values: Mapping[str, Json] | None = None, where: str = ""
) -> AnnotatedText:
    """Return a text with its mentions as lists of values, and with `values` that have no place beside them.

    Raises InputError for a mention that is not a range of the text.
    """
    places: dict[str, dict[str, dict[Span, None]]] = {}
    scores: dict[tuple[str, str], float] = {}
    characters = 0
    for each in sorted(mentions, key=lambda each: (each.span, each.type)):
        value = _value(each, text, where)
        characters += len(value)
        if characters > MOST_CHARACTERS:
            raise InputError(f"{where}: its mentions hold more than {MOST_CHARACTERS:,} characters.")
        places.setdefault(each.type, {}).setdefault(value, {})[each.span] = None
        if each.confidence is not None:
            scores[each.type, value] = max(each.confidence, scores.get((each.type, value), 0.0))
    data: dict[str, Json] = {type: list(found) for type, found in places.items()}
    numbered = [(type, at, value) for type, found in places.items() for at, value in enumerate(found)]
    pointers = {(type, value): f"/{escape_pointer(type)}/{at}" for type, at, value in numbered}
    spans = {pointer: tuple(places[type][value]) for (type, value), pointer in pointers.items()}
    confidence = {pointers[key]: score for key, score in scores.items()}
    for name, value in (values or {}).items():
        data[name] = [*data[name], *(value if isinstance(value, list) else [value])] if name in data else value
    return AnnotatedText(id, text, data, spans, confidence, "", where)


def _value(mention: Mention, text: str | None, where: str) -> str:
    start, end = mention.span
    if not 0 <= start < end or (text is not None and end > len(text)):
        length = "" if text is None else f" of {len(text)} characters"
        raise InputError(f"{where}: {mention.type} {start}:{end} is not a range of the text{length}.")
    actual = None if text is None else text[start:end]
    if None not in (actual, mention.value) and actual != mention.value:
        raise InputError(
            f"{where}: {mention.type} {start}:{end} should be {mention.value!r}, but the text has {actual!r}."
        )
    if actual is None and mention.value is None:
        raise InputError(f"{where}: {mention.type} {start}:{end} has no text, and the document's is not at hand.")
    return str(mention.value if actual is None else actual)


def mentions(item: AnnotatedText, notes: Notes, elsewhere: Container[str] = ()) -> list[Mention]:
    """Return the values of a text as mentions, in the order of the text; what they do not say is noted.

    Fields that are held `elsewhere` need no place.
    Raises InputError for a place that is not a range of the text.
    """
    text, found = item.text or "", []
    for scalar in scalars(dict(item.data or {})):
        spans = item.spans.get(scalar.pointer, ())
        if scalar.value is None:
            continue
        name = scalar.field if "/" in scalar.field else unescape_pointer(scalar.field)
        each = [Mention(name, (start, end), item.confidence.get(scalar.pointer)) for start, end in spans]
        for mention in each:
            _value(mention, text, item.where or item.id)
        found += each
        notes.add("values without a place in the text, left out", not each and name not in elsewhere)
        notes.add("values of objects, without the object that they belong to", bool(each) and "/" in scalar.field)
        other = each and written(scalar.value) not in {text[start:end] for start, end in spans}
        notes.add("values that are written differently in their text, taken as they are there", bool(other))
    return sorted(set(found), key=lambda each: (each.span, each.type))


def unplaced(item: AnnotatedText) -> dict[str, Json]:
    """Return the values of whole fields none of which has a place: choices, above all; and not objects."""
    found: dict[str, Json] = {}
    fields = {pointer.split("/")[1] for pointer, _ in item.placed}
    for name, value in (item.data or {}).items():
        items = value if isinstance(value, list) else [value]
        plain = [each for each in items if each is not None and not isinstance(each, dict | list)]
        if plain and len(plain) == len(items) and escape_pointer(name) not in fields:
            found[name] = value
    return found


def without_overlaps(found: Sequence[Mention], notes: Notes) -> list[Mention]:
    """Return mentions of which no two share a character, the longer ones before others; the rest is noted."""
    kept: list[Mention] = []
    taken: set[int] = set()
    for each in sorted(found, key=lambda each: (each.span[0] - each.span[1], each.span, each.type)):
        characters = range(*each.span)
        if taken.isdisjoint(characters):
            kept.append(each)
            taken.update(characters)
        else:
            notes.add("mentions that overlap a longer one, left out")
    return sorted(kept, key=lambda each: each.span)
