"""Gold rows become the prompts that a run asks, each with the answer that is right; a part of the rows is held out.

This module knows neither tokens nor models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from extractor.annotation_formats import AnnotatedText, Ask, Notes, right_answer
from extractor.data import Document, Json, Prompt, Source
from extractor.errors import InputError

MOST_HELD_OUT = 100
"""Documents: more would take longer to ask about and tell little more."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt of a run with its right answer: every field in order, null where the text has none."""

    prompt: Prompt
    answer: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Split:
    """The documents that are learned from, and those that are held out to measure with."""

    training: tuple[AnnotatedText, ...]
    held_out: tuple[AnnotatedText, ...]


def split(items: Iterable[AnnotatedText], share: float, seed: int) -> Split:
    """Hold out a share of the documents, chosen by a hash of their text: equal texts stay together.

    Raises InputError where there are too few documents.
    """
    found = sorted(items, key=lambda item: _hash(item.text or "", seed))
    count = min(max(1, round(share * len(found))), MOST_HELD_OUT)
    while 0 < count < len(found) and found[count].text == found[count - 1].text:
        count += 1
    if len(found) - count < 1:
        raise InputError(f"The gold has {len(found)} documents with a text; tuning needs two different ones at least.")
    return Split(tuple(found[count:]), tuple(found[:count]))


def _hash(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).hexdigest()


def questions(items: Iterable[AnnotatedText], ask: Ask, notes: Notes) -> Iterator[Question]:
    """Yield what a run asks about documents, with the right answers."""
    for item in items:
        prompts = ask(as_document(item))
        notes.add("documents without anything to ask about, left out", not prompts)
        whole = len({prompt.chunk.start for prompt in prompts}) == 1
        yield from (Question(prompt, _without_empties(right_answer(prompt, item, whole=whole))) for prompt in prompts)


def as_document(item: AnnotatedText) -> Document:
    """Return the document of a gold row."""
    return Document(item.id, item.text or "", Source("", ""))


def _without_empties(answer: dict[str, Json]) -> dict[str, Json]:
    """Return an answer that says nothing in one way: null, for a list without items as well."""
    return {name: None if value == [] else value for name, value in answer.items()}


def shares_present(asked: Sequence[Question]) -> dict[str, float]:
    """Return for each field in which share of the answers it has a value."""
    present: dict[str, int] = {}
    count: dict[str, int] = {}
    for question in asked:
        for name, value in question.answer.items():
            count[name] = count.get(name, 0) + 1
            present[name] = present.get(name, 0) + (value is not None)
    return {name: present[name] / count[name] for name in count}
