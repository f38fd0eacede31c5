"""Worked examples for the model (few-shot): a text and the data that a right answer to it has, one JSON object a line.

Whether the data keeps to a schema and stands in the text is not known here: the pipeline judges an example as it
judges an answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from extractor.data import Json
from extractor.errors import UsageError

_SHAPE = 'An example is one line: {"text": "...", "data": {"field": "value"}}'


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its right answer; `where` names it in messages."""

    text: str
    data: Mapping[str, Json]
    where: str

    @property
    def answer(self) -> str:
        """The data as the model should write it."""
        return json.dumps(self.data, ensure_ascii=False)

    def part(self, names: Collection[str]) -> Example:
        """Return the example for a question about some of the fields."""
        return replace(self, data={name: value for name, value in self.data.items() if name in names})


def load_examples(path: str) -> tuple[Example, ...]:
    """Return the examples of a JSONL file. Raises UsageError, with the line, for what is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8 and try again.") from error
    except OSError as error:
        raise UsageError(f"The examples {path!r} cannot be read ({error.strerror}). {_SHAPE}") from error
    found = make_examples(_rows(path, lines))
    if not found:
        raise UsageError(f"{path} holds no examples. {_SHAPE}")
    return found


def make_examples(rows: Iterable[tuple[str, Json]]) -> tuple[Example, ...]:
    """Examples of `{"text": ..., "data": {...}}`, each with its name for messages. Raises UsageError for others."""
    return tuple(_example(row, where) for where, row in rows)


def _rows(path: str, lines: Iterable[str]) -> Iterator[tuple[str, Json]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                yield where, json.loads(line)
            except ValueError as error:
                raise UsageError(f"{where} is not JSON: {error}. {_SHAPE}") from error


def _example(row: Json, where: str) -> Example:
    if not isinstance(row, Mapping) or not isinstance(row.get("data"), Mapping):
        raise UsageError(f"{where} has no `data`. {_SHAPE}")
    if not isinstance(row.get("text"), str) or not row["text"].strip():
        raise UsageError(f"{where} has no `text`. {_SHAPE}")
    if unknown := set(row) - {"id", "text", "data", "spans"}:
        raise UsageError(f"{where} has the unknown key {min(map(str, unknown))!r}. {_SHAPE}")
    return Example(row["text"], row["data"], where)
