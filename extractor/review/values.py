"""What a person selects in a text or types becomes a value with its place, by the rules that hold for a model.

A verbatim value is text of the document between borders; of a normalized one the meaning must stand at its place; an
enum or a boolean has none. What cannot be is a `Refusal`, with the reason to show at the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property

from extractor.data import Json, Span
from extractor.review.draft import Draft, Placed
from extractor.review.offsets import Utf16
from extractor.task.coerce import Coercer, fold
from extractor.task.schema_node import SchemaNode
from extractor.task.task import Leaf, Task
from extractor.task.validation_messages import problems
from extractor.text.borders import Borders
from extractor.text.durations import iso_form, length
from extractor.text.json_pointer import escape_pointer
from extractor.text.meaning import meaning
from extractor.text.numerals import narrow, numbers
from extractor.text.places import TextIndex, occurrences, written

MOST_PLACES = 200
"""Places that are offered of one value."""

_MOMENTS: Mapping[str, type] = {"date-time": datetime, "date": date, "time": time}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value cannot be: a code that the page has words for, and words of the schema beside it.

    `not-in-text`: a value must be text of the document; `no-place`: it occurs, and no place is chosen; `other-text`:
    the text at its place is another one; `border`: its place begins or ends inside a word or number; `nothing`: nothing
    was selected; `schema`: the schema has something against it.
    """

    code: str
    message: str = ""


@dataclass(frozen=True)
class Values:
    """The values that one text has for fields of a task."""

    task: Task
    text: str

    def selected(self, node: SchemaNode, span: Span) -> Placed | Refusal:
        """Return the value that a selection gives to a field."""
        span = self._trimmed(span)
        if span[0] == span[1]:
            return Refusal("nothing")
        if Leaf("", "", node).ground == "none":
            return self._fitting(node, Placed(self._read(node, self.text[slice(*span)])))
        start, end = span if node.annotations.any_border else self._widened(span)
        value = self._read(node, self.text[start:end])
        if _is_verbatim(node) or meaning(value) == meaning(self.text[start:end]):
            return self._fitting(node, Placed(value, ((start, end),)))
        inside = [place for place in self._index.find_equivalent(value) if start <= place[0] and place[1] <= end]
        return self._fitting(node, Placed(value, (inside[0],))) if inside else Refusal("other-text")

    def typed(self, node: SchemaNode, given: Json, span: Span | None) -> Placed | Refusal:
        """Return the value that is typed, or chosen of a list, at one of its places where it must have one."""
        value = self._read(node, given) if isinstance(given, str) else given
        leaf = Leaf("", value, node)
        if leaf.ground == "none":
            return self._fitting(node, Placed(value))
        found = self.places(node, written(given))
        if not found:
            kept = node.annotations.ungrounded == "keep"
            return self._fitting(node, Placed(value)) if kept else Refusal("not-in-text")
        chosen = next((placed for placed in found if span in (None, *placed.spans)), None)
        return Refusal("other-text") if chosen is None else self._fitting(node, chosen)

    def places(self, node: SchemaNode, typed: str) -> list[Placed]:
        """Return the values that a field can have where the text has what is typed, or what is typed is part of."""
        if not typed.strip():
            return []
        value = self._read(node, typed)
        if Leaf("", value, node).ground == "none":
            return []
        if _is_verbatim(node):
            return [Placed(self.text[start:end], ((start, end),)) for start, end in self._verbatim(node, typed)]
        return [Placed(value, (span,)) for span in [*self._index.find_equivalent(value)][:MOST_PLACES]]

    def refusals(self, draft: Draft, known: Iterable[tuple[Json, Span]] = ()) -> dict[str, Refusal]:
        """Return what is against a draft, by pointer. Empty for one that may be gold.

        What the schema requires and the document does not have is nothing against it. `known` are values at places
        that the run has checked.
        """
        pointers = sorted(_pointers(draft.data), key=len, reverse=True)
        found: dict[str, Refusal] = {}
        for problem in self.task.problems(draft.data):
            if problem.code != "required":
                pointer = next((each for each in pointers if problem.message.startswith(f"{each}: ")), "")
                found.setdefault(
                    pointer, Refusal("schema", problem.message.removeprefix(pointer or "/").removeprefix(": "))
                )
        checked = {_key(value, span) for value, span in known}
        for leaf in self.task.leaves(draft.data):
            refusal = None if leaf.value is None else self._misplaced(leaf, draft.spans.get(leaf.pointer, ()), checked)
            if refusal is not None:
                found.setdefault(leaf.pointer, refusal)
        return found

    @cached_property
    def _index(self) -> TextIndex:
        return TextIndex(self.text)

    @cached_property
    def utf16(self) -> Utf16:
        """What converts places of the text to those of JavaScript and back."""
        return Utf16(self.text)

    @cached_property
    def _borders(self) -> Borders:
        return Borders(self.text)

    def _misplaced(self, leaf: Leaf, spans: Sequence[Span], checked: set[str]) -> Refusal | None:
        if leaf.ground == "none":
            return None
        if not spans:
            kept = leaf.ungrounded == "keep"
            there = self.places(leaf.node, written(leaf.value))
            return None if kept and not there else Refusal("no-place" if there else "not-in-text")
        return next(filter(None, (self._at(leaf, span, checked) for span in spans)), None)

    def _at(self, leaf: Leaf, span: Span, checked: set[str]) -> Refusal | None:
        """Return what is against one place of a value."""
        start, end = span
        there = self.text[start:end] if 0 <= start < end <= len(self.text) else ""
        if leaf.ground == "verbatim":
            if there != written(leaf.value):
                return Refusal("other-text")
            fits = leaf.any_border or self._borders.fit(span) or _key(leaf.value, span) in checked
            return None if fits else Refusal("border")
        same = there and (span in self._index.find_equivalent(leaf.value) or meaning(there) == meaning(leaf.value))
        return None if same or (there and _key(leaf.value, span) in checked) else Refusal("other-text")

    def _fitting(self, node: SchemaNode, placed: Placed) -> Placed | Refusal:
        errors = problems(list(self.task.validator.errors_of(node, placed.value)))
        return Refusal("schema", errors[0].message.partition(": ")[2]) if errors else placed

    def _verbatim(self, node: SchemaNode, typed: str) -> Sequence[Span]:
        """Return places of text as it is typed, else in another notation, else of words and numbers that hold it."""
        any_border = node.annotations.any_border
        found = self._index.find_exact(typed, any_border=any_border) or self._index.find_by_meaning(typed)
        return (found or list(dict.fromkeys(map(self._widened, occurrences(self.text, typed.strip())))))[:MOST_PLACES]

    def _trimmed(self, span: Span) -> Span:
        start, end = max(0, span[0]), min(len(self.text), span[1])
        while start < end and self.text[start].isspace():
            start += 1
        while start < end and self.text[end - 1].isspace():
            end -= 1
        return start, end

    def _widened(self, span: Span) -> Span:
        """Return a span that begins and ends at borders: of a word or number that is selected in part the whole."""
        start, end = span
        while not self._borders.fit((start, start)):
            start -= 1
        while not self._borders.fit((end, end)):
            end += 1
        return start, end

    def _read(self, node: SchemaNode, text: str) -> Json:
        """Return what a text says to a field: a number, a date in ISO form, one of a list, or the text."""
        if _is_verbatim(node):
            return text
        if node.values is not None:
            return _option(node, text)
        moment = next((kind for kind in _MOMENTS if kind in node.bounds.formats), None)
        if moment is not None:
            said = meaning(text)
            return said.isoformat() if isinstance(said, date | time) and type(said) is _MOMENTS[moment] else text
        if "duration" in node.bounds.formats:
            lasts = length(narrow(text).strip())
            return iso_form(*lasts) if lasts else text
        value = Coercer(self.task.walk).coerce(text, node.name)
        return _only_number(text) if isinstance(value, str) and "string" not in node.kinds else value


def _is_verbatim(node: SchemaNode) -> bool:
    return node.ground == "verbatim"


def _option(node: SchemaNode, text: str) -> Json:
    """Return the one value of a list that a text is, or holds, but for width, case and white space."""
    options = [value for value in node.values or () if value is not None]
    alike = [value for value in options if fold(written(value)) == fold(text)]
    inside = alike or [value for value in options if fold(written(value)) in fold(text)]
    return inside[0] if len(inside) == 1 else text


def _only_number(text: str) -> Json:
    """Return the number that a text has, if it has one."""
    found: set[Decimal] = {value for _, value in numbers(narrow(text))}
    if len(found) != 1:
        return text
    number = found.pop()
    return int(number) if number == number.to_integral_value() else float(number)


def _key(value: Json, span: Span) -> str:
    return json.dumps([value, *span])


def _pointers(data: Json, pointer: str = "") -> Iterator[str]:
    """Yield the pointers of all that data holds."""
    yield pointer
    for key, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from _pointers(item, f"{pointer}/{escape_pointer(str(key))}")
