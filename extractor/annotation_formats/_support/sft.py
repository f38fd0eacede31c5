"""Worked questions for fine-tuning, as LLaMA-Factory has them: what a run asks, and the answer that is right.

A file holds prompts, not documents. A row of ours says where in its prompt the document is (`document`, characters), of
whose part it is (`id`, `offset`). In another the document is the `input`, or what is not the same in all prompts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Notes
from extractor.annotation_formats._support.options import WriteOptions
from extractor.data import Document, Json, Prompt, Source, Span
from extractor.errors import InputError, UsageError
from extractor.text import strict_json
from extractor.text.json_pointer import escape_pointer, scalars
from extractor.text.places import TextIndex

FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", re.DOTALL)
BORDERS = ":：\n"
"""What an instruction ends with where a document begins."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer: the system's turn, the user's, and in that the document, where a row says so."""

    user: str
    answer: str
    system: str = ""
    query: str = ""
    id: str = ""
    offset: int = 0
    document: Span | None = None

    def keys(self) -> dict[str, Json]:
        """Return what a row of ours says of the document."""
        return {"id": self.id, "offset": self.offset, "document": list(self.document or (0, 0))}


def turn(row: Mapping[str, Json], user: Json, answer: Json, query: Json = "") -> Turn:
    """Return the question of a row of whatever layout. Raises TypeError for one that holds no text."""
    if not (isinstance(user, str) and isinstance(answer, str)):
        raise TypeError("question and answer are not text")
    place = row.get("document")
    known = isinstance(place, list) and len(place) == 2 and place[1] > place[0]
    document = (int(place[0]), int(place[1])) if known and place else None
    return Turn(user, answer, "", str(query or ""), str(row.get("id", "")), int(row.get("offset") or 0), document)


def read_turns(turns: Sequence[tuple[str, Turn]], name: str, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents of questions, each with its place for messages; `name` is that of the file.

    Questions about groups of fields of one text are put together. Raises InputError where no answer is a JSON object.
    """
    frame = _frame([each.user for _, each in turns])
    found: dict[tuple[str, str], dict[str, Json]] = {}
    places: dict[tuple[str, str], str] = {}
    for number, (where, each) in enumerate(turns, 1):
        data = _object(each.answer)
        if data is None:
            notes.add("answers that are not a JSON object, left out")
            continue
        id = f"{each.id}@{each.offset}" if each.id and each.offset else each.id or f"{os.path.basename(name)}#{number}"
        key = id, _text(each, frame, notes)
        places.setdefault(key, where)
        known = found.setdefault(key, {})
        known |= {field: value for field, value in data.items() if known.get(field) is None}
    if turns and not found:
        raise InputError(f"{name}: no answer is a JSON object. Only questions about what a text holds are read.")
    for (id, text), data in found.items():
        yield AnnotatedText(id, text, data, _first_places(text, data), {}, "", places[id, text])


def _object(answer: str) -> dict[str, Json] | None:
    fenced = FENCED.fullmatch(answer)
    parsed = strict_json.load(fenced[1] if fenced else answer)
    value = strict_json.plain(parsed.value) if parsed else None
    return value if isinstance(value, dict) else None


def _frame(prompts: Sequence[str]) -> tuple[int, int]:
    """Return how many characters are the same at the beginning and at the end of all prompts, up to a border."""
    different = set(prompts)
    if len(different) < 2:
        return 0, 0
    before = os.path.commonprefix(list(different))
    before = before[: max(before.rfind(border) for border in BORDERS) + 1]
    shortest = min(map(len, different)) - len(before)
    after = os.path.commonprefix([prompt[::-1][:shortest] for prompt in different])[::-1]
    start = after.find("\n")
    return len(before), len(after) - start if start >= 0 else 0


def _text(each: Turn, frame: tuple[int, int], notes: Notes) -> str:
    if each.document:
        return each.user[slice(*each.document)]
    if each.query:
        return each.query
    notes.add("whole prompts taken for documents, as nothing tells them apart", frame == (0, 0))
    return each.user[frame[0] : len(each.user) - frame[1]].strip("\n")


def _first_places(text: str, data: Mapping[str, Json]) -> dict[str, tuple[Span, ...]]:
    index = TextIndex(text)
    values = [each for each in scalars(dict(data)) if each.value not in (None, "") and not isinstance(each.value, bool)]
    found = {each.pointer: tuple(index.find_by_meaning(each.value)[:1]) for each in values}
    return {pointer: places for pointer, places in found.items() if places}


def write_turns(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[Turn]:
    """Yield what a run asks about each document, and what it should answer. Raises UsageError without a schema."""
    if options.ask is None or options.task is None:
        raise UsageError(
            "Questions are those of a run: say what to extract with -s SCHEMA (and -p, -m as the run has)."
        )
    for item in items:
        document = Document(item.id, item.text or "", Source("", ""))
        prompts = options.ask(document)
        options.notes.add("answers that break the schema", bool(options.task.validate(dict(item.data or {}))))
        options.notes.add("documents in several parts or groups of fields", len(prompts) > 1)
        for prompt in prompts:
            yield _asked(prompt, item, whole=len({each.chunk.start for each in prompts}) == 1)


def _asked(prompt: Prompt, item: AnnotatedText, *, whole: bool) -> Turn:
    answer = json.dumps(right_answer(prompt, item, whole=whole), ensure_ascii=False)
    system = "\n".join(each.content for each in prompt.messages if each.role == "system")
    user = prompt.messages[-1].content
    start = max(user.find(prompt.chunk.text), 0)
    place = (start, start + len(prompt.chunk.text)) if prompt.chunk.text in user else None
    return Turn(user, answer, system, "", item.id, prompt.chunk.start, place)


def right_answer(prompt: Prompt, item: AnnotatedText, *, whole: bool) -> dict[str, Json]:
    """Return what a prompt about a text should be answered: its fields; of a part (not `whole`) what it shows.

    Where a text names fields of its own, these too.
    """
    names = {field.name for field in prompt.task.fields}
    data = {name: value for name, value in (item.data or {}).items() if name in names or prompt.task.is_map}
    if not whole:
        shown = TextIndex(prompt.chunk.text)
        data = {name: _in_part(value, f"/{escape_pointer(name)}", item, prompt, shown) for name, value in data.items()}
    return prompt.task.completed(data)


def _in_part(value: Json, pointer: str, item: AnnotatedText, prompt: Prompt, shown: TextIndex) -> Json:
    """Return what of a value a part of its document shows; null where that is nothing."""
    if isinstance(value, list):
        parts = [_in_part(each, f"{pointer}/{at}", item, prompt, shown) for at, each in enumerate(value)]
        return [each for each in parts if each is not None]
    if isinstance(value, dict):
        members = {
            name: _in_part(each, f"{pointer}/{escape_pointer(name)}", item, prompt, shown)
            for name, each in value.items()
        }
        return members if any(each not in (None, []) for each in members.values()) else None
    spans = item.spans.get(pointer, ())
    if spans:
        return value if any(prompt.chunk.start <= start and end <= prompt.chunk.end for start, end in spans) else None
    return value if value not in (None, "") and shown.find_by_meaning(value) else None
